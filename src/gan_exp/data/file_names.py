"""The names of the files that packed images were made of, beside them on the disk; they are read when one is shown."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan_exp.runtime.files import json_text
from gan_exp.runtime.terminal import visible

if TYPE_CHECKING:
    from torch import Tensor

NAMES = "names.json"  # folders that earlier versions packed have none


def printable(name: str) -> str:
    """Whatever bytes it has, line breaks included."""
    return visible(os.fsencode(name).decode(errors="replace"))


def write_names(directory: Path, names: Sequence[str]) -> None:
    """Of the packed images in this directory, in their order."""
    (directory / NAMES).write_text(json_text(list(names)), encoding="utf-8")  # other bytes than UTF-8 are escaped


def names_in(directory: Path) -> "FileNames | None":
    return FileNames(directory / NAMES) if (directory / NAMES).exists() else None


@dataclass(frozen=True)
class FileNames:
    """Of the packed images with the numbers `rows`; None: of all."""

    file: Path
    rows: np.ndarray | None = None

    def select(self, which: "Tensor") -> "FileNames":
        """Those of the images that `which`, indices or a mask, selects."""
        chosen = which.cpu().numpy()
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def of(self, indices: Sequence[int]) -> list[str] | None:
        """The names below the folder, of images by their numbers; None if they can't be read any more."""
        try:
            names = json.loads(self.file.read_text(encoding="utf-8"))
            return [printable(names[index if self.rows is None else self.rows[index]]) for index in indices]
        except (OSError, ValueError, LookupError, TypeError):
            return None
