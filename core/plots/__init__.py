"""Charts and pictures over the tables of `core.analysis` and the answers of `core.inference`."""
