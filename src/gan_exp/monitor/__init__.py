"""What a run shows: numbers over a window of steps, TensorBoard, the terminal, pictures."""
