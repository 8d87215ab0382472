"""The code with which a job was submitted: a queued job runs whatever the files hold when it starts."""

import hashlib
import importlib.util
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gan_exp


@dataclass(frozen=True)
class CodeState:
    version: str
    commit: str | None  # None where the package is not in a git repository
    digest: str  # of the package's files and those of the user's trusted modules

    def __str__(self) -> str:
        commit = f", commit {self.commit[:9]}" if self.commit else ""
        return f"gan-exp {self.version}{commit}, files {self.digest[:9]}"


def code_state(trusted: Sequence[str] = ()) -> CodeState:
    """The state of this package, and of the `trusted` modules that a configuration may name."""
    package = Path(gan_exp.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *_files_of(trusted)]):
        digest.update(path.name.encode() + b"\0")
        with suppress(OSError):
            digest.update(path.read_bytes())
    return CodeState(gan_exp.__version__, _commit(package), digest.hexdigest())


def change_since(before: CodeState, trusted: Sequence[str] = ()) -> str:
    """A sentence if the code is another than `before`; "" if it is the same."""
    now = code_state(trusted)
    if now.digest == before.digest and now.version == before.version:
        return ""
    return f"the code has changed since this job was submitted ({before}; now {now}): its run may differ from others"


def _files_of(modules: Sequence[str]) -> Iterator[Path]:
    """The source files of modules and packages, as far as they can be found without importing them."""
    for name in modules:
        with suppress(ImportError, ValueError, AttributeError):
            found = importlib.util.find_spec(name.partition(".")[0])
            if found is not None and found.submodule_search_locations:
                for place in found.submodule_search_locations:
                    yield from Path(place).rglob("*.py")
            elif found is not None and found.origin:
                yield Path(found.origin)


def _commit(folder: Path) -> str | None:
    """The commit of the repository that holds the package; None if the package is only installed there."""
    words = ["git", "-C", str(folder), "ls-files", "--error-unmatch", "__init__.py"]
    try:
        subprocess.run(words, capture_output=True, timeout=10, check=True)
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
