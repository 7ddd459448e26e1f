"""From files to pixels: decoding strangers' photos, regions, letterboxing, and where photos are read from."""
