"""Many photos at once: batches, journals and the files of results."""
