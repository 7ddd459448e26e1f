"""Many photos at once: batches, shards, journals and the files of results."""
