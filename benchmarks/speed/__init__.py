"""Speed: this project against its own bare step and against a plain PyTorch loop, interleaved."""
