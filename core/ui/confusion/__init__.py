"""The widgets of the confusion page."""
