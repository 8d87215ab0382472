"""Folders of images for tests: drawn, loaded, refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS = np.repeat(np.repeat(np.array([[RED, GREEN], [BLUE, WHITE]], dtype=np.uint8), 8, axis=0), 8, axis=1)
Load = Callable[..., PackedImages]


def draw(path: Path, value: Any = 0, size: tuple[int, int] = (8, 8), mode: str = "L", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)
    return path


def refused(load: Load, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pixels(data: PackedImages) -> list[Any]:
    """The middle pixel of each image."""
    _, _, height, width = data.images.shape
    return data.images[:, :, height // 2, width // 2].tolist()


def noise(path: Path, seed: int = 0) -> bytes:
    """An image that doesn't compress, as the file's bytes."""
    array = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(array).save(path)
    return path.read_bytes()


def packings(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").iterdir() if path.is_dir())
