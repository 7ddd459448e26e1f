"""The widgets of the classify page."""
