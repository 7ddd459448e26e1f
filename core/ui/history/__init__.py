"""The widgets of the training history page: which runs, the story of a run, what each stage taught, details, exports."""
