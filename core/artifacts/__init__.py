"""What a training leaves behind: run folders, their labels, predictions, history and index of similar products."""
