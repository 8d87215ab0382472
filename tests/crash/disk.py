"""A model of a disk: the names and contents in a directory that survive a power cut, since they were synced."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Tree = dict[str, bytes | None]  # by path below the directory; None for a directory

# The states in which a file system may leave content that was written but not synced.
CONTENTS = ("kept", "lost", "half", "zeros")


@dataclass(eq=False)
class Node:
    """A file or a directory, apart from its name."""

    directory: bool = False
    synced: bytes = b""
    latest: bytes = b""  # its content when it lost a name


@dataclass
class Change:
    """Names that appear (a node) and disappear (None); they last once all of `waiting` are synced."""

    waiting: set[Path]
    names: dict[Path, Node | None]


class Disk:
    """Follows the system calls below `root`, whose initial content counts as synced."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = {path: Node(path.is_dir(), _read(path)) for path in root.rglob("*")}
        self.lasting = dict(self.names)
        self.pending: list[Change] = []

    def keep(self, path: Path) -> None:
        """`path` is about to lose its name."""
        if path in self.names:
            self.names[path].latest = _read(path)

    def come(self, path: Path, node: Node) -> None:
        self._change({path.parent}, {path: node})

    def go(self, path: Path) -> None:
        self._change({path.parent}, {path: None})

    def move(self, source: Path, target: Path) -> None:
        moved: dict[Path, Node | None] = {}
        for path, node in self.names.items():
            if path == source or source in path.parents:
                moved |= {path: None, target / path.relative_to(source): node}
        self._change({source.parent, target.parent}, moved)

    def _change(self, parents: set[Path], names: dict[Path, Node | None]) -> None:
        _apply(self.names, names)
        self.pending.append(Change(parents, names))

    def sync(self, node: Node | Path) -> None:
        """Sync a file's content, or the names in a directory (a path). A name needs its own sync (POSIX)."""
        if isinstance(node, Node):
            node.synced = self.content(node)
            return
        for change in self.pending:
            change.waiting.discard(node)
            if not change.waiting:
                _apply(self.lasting, change.names)
        self.pending = [change for change in self.pending if change.waiting]

    def content(self, node: Node) -> bytes:
        return next((_read(path) for path, other in self.names.items() if other is node), node.latest)

    def states(self) -> Iterator[tuple[str, Tree]]:
        """The state that a killed process leaves, then each one possible after a power cut; many are alike.

        Changes of names last in their order, as in a journal, up to any of them.
        """
        current = {node: self.content(node) for node in {*self.names.values(), *self.lasting.values()}}
        current |= {node: self.content(node) for change in self.pending for node in change.names.values() if node}
        yield "killed", self._tree(self.names, current, "kept")
        names = dict(self.lasting)
        for count in range(len(self.pending) + 1):
            if count:
                _apply(names, self.pending[count - 1].names)
            for contents in CONTENTS:
                words = f"power cut, {count} of {len(self.pending)} names on the disk, unsynced content {contents}"
                yield words, self._tree(names, current, contents)

    def _tree(self, names: dict[Path, Node], current: dict[Node, bytes], contents: str) -> Tree:
        tree: Tree = {}
        for path, node in sorted(names.items()):
            if path.parent == self.root or str(path.parent.relative_to(self.root)) in tree:
                content = None if node.directory else _survivor(node.synced, current[node], contents)
                tree[str(path.relative_to(self.root))] = content
        return tree


def _survivor(synced: bytes, current: bytes, contents: str) -> bytes:
    if contents == "kept" or synced == current:
        return current
    if contents == "lost" or not current.startswith(synced):
        return synced
    unsynced = len(current) - len(synced)
    return current[: len(synced) + unsynced // 2] if contents == "half" else synced + bytes(unsynced)


def write_tree(tree: Tree, directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, content in tree.items():
        if content is None:
            (directory / name).mkdir()
        else:
            (directory / name).write_bytes(content)


def _apply(names: dict[Path, Node], change: dict[Path, Node | None]) -> None:
    for path, node in change.items():
        if node is None:
            names.pop(path, None)
        else:
            names[path] = node


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
