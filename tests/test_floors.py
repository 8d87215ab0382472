"""Each room imports from rooms below it alone, no module imports itself in a circle, and the lower rooms are pure."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gan_exp

ROOT = Path(gan_exp.__file__).parent
FLOORS = (  # as docs/architecture.md draws them, from the ground up
    {"errors", "ranges"},
    {"runtime"},
    {"losses", "penalties", "augment", "schedules", "optimizers", "models", "data", "metrics"},
    {"config"},
    {"runs"},
    {"evaluation"},
    {"diagnosis"},
    {"comparison"},
    {"display"},
    {"report"},
    {"training"},
    {"generators"},
    {"play"},
    {"sweeps"},
    {"search"},
    {"api"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
PURE = FLOORS[0] | FLOORS[1] | FLOORS[2]  # and the training step
STEP = ("training/step.py", "training/state.py", "training/acceleration/")
SHELL_LIBRARIES = {"hydra", "omegaconf", "rich", "tensorboard", "yaml", "pydantic"}
BUILDERS = (
    "training/session.py",
    "training/decisions.py",
    "training/restoring.py",
    "training/start_or_continue.py",
    "training/assembly.py",
    "training/build.py",
    "training/needs.py",
    "training/fitting.py",
    "training/start.py",
    "training/together.py",
)  # what is given the configuration

# Packing a folder of many images shows a bar: the one place below the shell that takes minutes.
EXCEPTIONS = {("data/image_tree.py", "rich.console.Console"), ("data/image_tree.py", "rich.progress.track")}


def floor(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imports(path: Path, inside_functions: bool = True) -> set[str]:
    """Dotted names of all that a file imports."""
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if inside_functions else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports by absolute names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.parent != ROOT or path.name != "__init__.py"
}


@pytest.mark.parametrize("name", FILES)
def test_a_module_stands_on_lower_floors_alone(name: str) -> None:
    part = name.split("/")[0].removesuffix(".py")
    pure = part in PURE or name.startswith(STEP)
    for found in imports(FILES[name]):
        package, _, rest = found.partition(".")
        other = rest.split(".")[0]
        if package == "gan_exp" and other and not other.startswith("__"):
            assert other == part or floor(other) < floor(part), f"{name} imports {found}"
        if (name, found) not in EXCEPTIONS:
            assert not pure or package not in SHELL_LIBRARIES, f"{name} imports {found}"
        assert not pure or "tensorboard" not in found, f"{name} imports {found}"


def test_no_module_needs_itself() -> None:
    """Imports inside functions count: a circle that is put off is one."""
    modules = {
        f"gan_exp.{name.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}": path
        for name, path in FILES.items()
    }
    needs = {
        module: {other for found in imports(path) for other in (found, found.rpartition(".")[0]) if other in modules}
        for module, path in modules.items()
    }

    def circle(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for other in needs[path[-1]] - done:
            if other in path:
                yield (*path[path.index(other) :], other)
            else:
                yield from circle((*path, other))
        done.add(path[-1])

    done: set[str] = set()
    found = [one for module in modules if module not in done for one in circle((module,))]
    assert not found, " -> ".join(found[0])


def test_below_the_session_nobody_is_given_the_configuration() -> None:
    rooms = ("training/", "evaluation/", "diagnosis/", "runs/", "display/", "runtime/")
    takers = [
        name
        for name, path in FILES.items()
        if name.startswith(rooms) and name not in BUILDERS and "gan_exp.config.schema.Config" in imports(path)
    ]
    assert takers == []


def test_only_the_assembly_uses_the_accelerations_and_only_when_asked() -> None:
    """The folder can be deleted; tests/training/test_plain_step.py trains without it."""

    def users(inside_functions: bool) -> list[str]:
        return [
            name
            for name, path in FILES.items()
            if not name.startswith("training/acceleration/")
            and any(found.startswith("gan_exp.training.acceleration") for found in imports(path, inside_functions))
        ]

    assert users(inside_functions=True) == ["training/assembly.py"] and users(inside_functions=False) == []


def test_the_rooms_can_be_counted_at_a_glance() -> None:
    rooms = {
        path.name.removesuffix(".py") for path in ROOT.iterdir() if path.name not in ("__pycache__", "conf", "py.typed")
    }
    assert rooms - {"__init__"} == set().union(*FLOORS)
