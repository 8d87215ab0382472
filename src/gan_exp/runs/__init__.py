"""What a run leaves behind: its directory, checkpoints, exported generators, logs and TensorBoard events."""
