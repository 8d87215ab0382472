"""The files of a run: its directory, checkpoints, exported generators, logs and TensorBoard events."""
