"""The images of all loops: MNIST's if its files are given, else strokes drawn at random. NumPy only."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PROTOTYPES = 1000
POINTS = np.linspace(0, 1, 24)[:, None]  # along a stroke


def load_images(count: int = 60_000, size: int = 28, root: str | None = None) -> NDArray[np.uint8]:
    """uint8 [N, size, size]; `root` is the folder that holds MNIST/raw, with 60,000 images of size 28."""
    if root is not None:
        content = (Path(root) / "MNIST/raw/train-images-idx3-ubyte").read_bytes()
        return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28).copy()
    random = np.random.default_rng(0)
    prototypes = np.stack([_stroke(random, size) for _ in range(PROTOTYPES)])
    return prototypes[random.integers(PROTOTYPES, size=count)]


def mnist_folder(root: str) -> str:
    """For argparse: the absolute path. Raises ValueError unless it holds MNIST/raw."""
    if not (Path(root) / "MNIST/raw/train-images-idx3-ubyte").exists():
        raise ValueError(root)
    return str(Path(root).resolve())


def _stroke(random: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A thick quadratic Bezier curve, about as much ink as a digit has."""
    first, middle, last = random.uniform(0.15, 0.85, (3, 2)) * size
    curve = (1 - POINTS) ** 2 * first + 2 * POINTS * (1 - POINTS) * middle + POINTS**2 * last
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1)
    distance = np.linalg.norm(grid[:, :, None] - curve, axis=-1).min(axis=-1)
    return np.uint8(255 * np.clip(1.5 - distance * 14 / size, 0, 1))
