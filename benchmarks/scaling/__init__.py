"""What several processes gain: measured here with two, predicted for machines with many GPUs."""
