"""A trained generator as one file for others: safetensors, ONNX or a program of torch.export, and its model card."""
