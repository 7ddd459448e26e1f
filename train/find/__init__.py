"""The detector: a head on a finished network that finds the garments in a photo."""
