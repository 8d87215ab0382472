"""A module imports only from floors below its own, and the lower ones know nothing of the shell's libraries."""

import ast
from pathlib import Path

import pytest

import gan_exp

ROOT = Path(gan_exp.__file__).parent
FLOORS = (
    {"wrapping"},
    {"errors", "ranges", "streams", "synonyms", "finite_json"},
    {"places"},
    {"signals"},
    {"processes"},
    {"losses", "penalties", "augment", "schedules", "optimizers", "models", "data", "metrics"},
    {"state", "capturable", "cuda_recorder", "diagnosis"},
    {"step", "chain"},
    {"chain_check", "cuda_graphs"},
    {"derived"},
    {"plain_yaml", "run_names"},
    {"catalog", "run_dir"},
    {"hints"},
    {"validation"},
    {"config"},
    {"overrides"},
    {"hydra_support", "hydra_guard", "device", "build", "checkpoint", "features", "contradictions"},
    {"fast_path", "export", "sampling"},
    {"evaluation", "threads"},
    {"monitor", "checkup"},
    {"trainer"},
    {"session"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
PURE = set().union(*FLOORS[: FLOORS.index({"derived"}) + 1])
SHELL_LIBRARIES = {"hydra", "omegaconf", "rich", "tensorboard", "yaml", "pydantic"}

# Packing a folder of many images shows a bar: the one place below the shell that takes minutes.
EXCEPTIONS = {("data/folder.py", "rich.console.Console"), ("data/folder.py", "rich.progress.track")}


def floor(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imports(path: Path) -> set[str]:
    """Dotted names of all that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports by absolute names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_stands_on_lower_floors_alone(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imports(path):
        package, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if package == "gan_exp" and other and not other.startswith("__"):
            assert other == part or floor(other) < floor(part), f"{part} imports {name}"
        if (path.relative_to(ROOT).as_posix(), name) not in EXCEPTIONS:
            assert part not in PURE or package not in SHELL_LIBRARIES, f"{part} imports {name}"
        assert part not in PURE or "tensorboard" not in name, f"{part} imports {name}"
