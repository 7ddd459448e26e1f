"""Garments drawn in code, for pages and tests that have no photo at hand."""
