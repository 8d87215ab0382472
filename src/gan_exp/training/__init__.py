"""A run, its loop and the training step."""
