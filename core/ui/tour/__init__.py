"""Presenter mode: a tour of five minutes through the pages, in large type."""
