"""Watches Python's system calls that change a directory, before each happens."""

import _pyio
import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crash.disk import Disk, Node

CHANGING = ["write", "ftruncate", "truncate", "replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir"]
NAMES = ["open", "fsync", "fdatasync", "close", *CHANGING]


class Watched:
    """Within `watching()`, calls `at(words)` before each change below `disk.root`, and in the middle of each write."""

    def __init__(self, disk: Disk, at: Callable[[str], None]) -> None:
        self.disk, self.at = disk, at
        self._real = {name: getattr(os, name) for name in NAMES}
        self._open_file = io.open
        self._descriptors: dict[int, Path | Node] = {}  # a directory by its path, a file itself: its name may change

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Files opened for writing go through Python's own io, whose system calls can be watched."""
        try:
            for name in NAMES:
                setattr(os, name, getattr(self, f"_{name}"))
            io.open = builtins.open = self._open_any  # type: ignore[assignment]
            yield
        finally:
            for name, function in self._real.items():
                setattr(os, name, function)
            io.open = builtins.open = self._open_file

    def _open_any(self, file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        mine = file in self._descriptors if isinstance(file, int) else self._inside(file) is not None
        return (_pyio.open if mine and set(mode) & set("wax+") else self._open_file)(file, mode, *rest, **named)

    def _inside(self, path: Any, dir_fd: int | None = None) -> Path | None:
        if isinstance(path, int):
            return None
        place = Path(os.fsdecode(path))
        if dir_fd is not None:
            folder = self._descriptors.get(dir_fd)
            if not isinstance(folder, Path):
                return None
            place = folder / place
        place = place.resolve()
        return place if place == self.disk.root or self.disk.root in place.parents else None

    def _say(self, call: str, place: Path | Node) -> None:
        path = place if isinstance(place, Path) else next((p for p, n in self.disk.names.items() if n is place), None)
        self.at(f"{call} {path.relative_to(self.disk.root) if path is not None else 'a file without a name'}")

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._inside(path, dir_fd)
        if place is None:
            return self._real["open"](path, flags, mode, dir_fd=dir_fd)  # type: ignore[no-any-return]
        new = bool(flags & os.O_CREAT) and place not in self.disk.names
        if new or flags & os.O_TRUNC:
            self._say("before open", place)
        descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if new:
            self.disk.come(place, Node())
        node = self.disk.names.get(place)
        self._descriptors[descriptor] = place if node is None or node.directory else node
        return descriptor

    def _close(self, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)
        self._real["close"](descriptor)

    def _write(self, descriptor: int, data: Any) -> int:
        node = self._descriptors.get(descriptor)
        if node is None:
            return self._real["write"](descriptor, data)  # type: ignore[no-any-return]
        self._say("before write", node)
        data = bytes(data)
        half = len(data) // 2
        if half:
            self._real["write"](descriptor, data[:half])
            self._say("half of write", node)
        return half + self._real["write"](descriptor, data[half:])  # type: ignore[no-any-return]

    def _fsync(self, descriptor: int) -> None:
        node = self._descriptors.get(descriptor)
        if node is not None:
            self._say("before fsync", node)
        self._real["fsync"](descriptor)
        if node is not None:
            self.disk.sync(node)

    _fdatasync = _fsync

    def _ftruncate(self, descriptor: int, length: int) -> None:
        node = self._descriptors.get(descriptor)
        if node is not None:
            self._say("before ftruncate", node)
        self._real["ftruncate"](descriptor, length)

    def _truncate(self, path: Any, length: int) -> None:
        place = self._inside(path)
        if place is not None:
            self._say("before truncate", place)
        self._real["truncate"](path, length)

    def _replace(self, source: Any, target: Any, **named: Any) -> None:
        self._rename_by("replace", source, target, **named)

    def _rename(self, source: Any, target: Any, **named: Any) -> None:
        self._rename_by("rename", source, target, **named)

    def _rename_by(self, name: str, source: Any, target: Any, **named: Any) -> None:
        place = self._inside(target)
        if place is not None:
            self._say(f"before {name} to", place)
            self.disk.keep(place)
        self._real[name](source, target, **named)
        if place is not None:
            self.disk.move(Path(source).resolve(), place)

    def _link(self, source: Any, target: Any, **named: Any) -> None:
        place = self._inside(target)
        if place is not None:
            self._say("before link to", place)
        self._real["link"](source, target, **named)
        if place is not None:
            self.disk.come(place, self.disk.names[Path(source).resolve()])

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._change("unlink", self.disk.go, path, dir_fd=dir_fd)

    _remove = _unlink

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._change("rmdir", self.disk.go, path, dir_fd=dir_fd)

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._change("mkdir", lambda place: self.disk.come(place, Node(directory=True)), path, mode, dir_fd=dir_fd)

    def _change(self, name: str, report: Callable[[Path], None], path: Any, *rest: Any, dir_fd: int | None) -> None:
        place = self._inside(path, dir_fd)
        if place is not None and place != self.disk.root and place.exists() == (name != "mkdir"):
            self._say(f"before {name}", place)
            self.disk.keep(place)
        self._real[name](path, *rest, dir_fd=dir_fd)
        if place is not None and place != self.disk.root:
            report(place)
