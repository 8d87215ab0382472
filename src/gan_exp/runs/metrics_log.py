"""`metrics.jsonl`: one line for each logging step, with `step` and the same tags as TensorBoard."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_exp.runtime.files import json_text, sync_directory, write_atomically

NOT_FINITE = "not_finite"  # the key with the values that are null in the line: inf, -inf or nan


class MetricsLog:
    """Appends to `path`; with `resumed_at`, lines for later steps are dropped first."""

    def __init__(self, path: Path, resumed_at: int | None) -> None:
        if resumed_at is not None and path.exists():
            _drop_lines_after(path, resumed_at)
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        infinite = {tag: str(value) for tag, value in metrics.items() if not math.isfinite(value)}
        line = {"step": step, **metrics, **({NOT_FINITE: infinite} if infinite else {})}
        self._file.write(json_text(line) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Make what was added survive a power cut."""
        os.fsync(self._file.fileno())
        sync_directory(self._path.parent)

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The finite values of all complete lines; a crash may have cut the last one."""
    return [
        {tag: value for tag, value in line.items() if tag != NOT_FINITE and value is not None}
        if isinstance(line, dict)
        else line
        for line in _read_lines(path)
    ]


def _read_lines(path: Path) -> list[Any]:
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _drop_lines_after(path: Path, step: int) -> None:
    kept = [json_text(line) + "\n" for line in _read_lines(path) if line["step"] <= step]
    write_atomically(path, "".join(kept))
