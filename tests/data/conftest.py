"""A folder for images, and what loads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gan_exp.data.packing as module
from gan_exp.data.folder import folder
from gan_exp.data.packed import PackedImages


@pytest.fixture
def images(tmp_path: Path) -> Path:
    place = tmp_path / "images"
    place.mkdir()
    return place


@pytest.fixture
def load(images: Path, tmp_path: Path) -> Callable[..., PackedImages]:
    def load(**options: Any) -> PackedImages:
        return folder(str(images), str(tmp_path / "cache"), **{"size": None, **options})  # type: ignore[return-value]

    return load


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    decode = module.decode

    def counted(path: Path, *rest: Any) -> np.ndarray:
        names.append(path.name)
        return decode(path, *rest)

    monkeypatch.setattr(module, "decode", counted)
    return names
