"""The widgets of the batch page: photos that come, their predictions, the table and its filters."""
