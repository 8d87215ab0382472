"""`metrics.jsonl`: one line a logging step, with `step` and the same tags as TensorBoard."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from gan_exp.run_dir import sync_directory, write_atomically


class MetricsLog:
    """Appends to `path`; `resumed_at` first drops what an earlier process wrote for later steps than that."""

    def __init__(self, path: Path, resumed_at: int | None) -> None:
        if resumed_at is not None and path.exists():
            _drop_lines_after(path, resumed_at)
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **metrics}) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Let what was added outlive a power cut."""
        os.fsync(self._file.fileno())
        sync_directory(self._path.parent)

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """All whole lines; the last one may have been cut by a crash."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _drop_lines_after(path: Path, step: int) -> None:
    kept = [json.dumps(line) + "\n" for line in read_metrics(path) if line["step"] <= step]
    write_atomically(path, "".join(kept))
