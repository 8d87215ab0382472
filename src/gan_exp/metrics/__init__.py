"""How good samples are, as numbers: tensors in, floats out. Which network made the features is another's business."""
