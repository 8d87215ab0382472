"""Data sets as packed uint8 arrays: no worker processes, no per-image work while training."""
