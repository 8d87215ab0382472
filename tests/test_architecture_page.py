"""docs/architecture.md is true: its rooms and names exist, and a training step calls what its picture shows."""

import ast
import re
import sys
from pathlib import Path
from types import FrameType

import gan_exp
from gan_exp.commands import COMMANDS
from gan_exp.config.catalog import conf_dir
from setups import Setup

PACKAGE = Path(gan_exp.__file__).parent
ROOT = PACKAGE.parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS, STEP = re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILES = [path for path in PACKAGE.rglob("*") if "__pycache__" not in path.parts]


def defined_names(path: Path) -> set[str]:
    """Classes, functions, their arguments, attributes and variables, and the words of texts: keys and file names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.Constant(value=str(text)) if " " not in text:
                names.add(text)
    return names


NAMES = {path: defined_names(path) for path in FILES if path.suffix == ".py"}
KEYS = set(re.findall(r"^ *(\w+):", "".join(path.read_text() for path in conf_dir().rglob("*.yaml")), re.MULTILINE))


def exists(name: str) -> bool:
    """Whether `name` is a file, a command, a key or option (with its value), or a name in the code (of a module)."""
    if name.startswith("gan-exp "):
        return name.split()[1] in COMMANDS
    if any((folder / name).exists() for folder in (ROOT, PACKAGE)) or any(path.name == name for path in FILES):
        return True
    if any(name in names for names in NAMES.values()):
        return True
    owner, _, last = re.sub(r"=.*|\(\)", "", name).rpartition(".")
    modules = [path for path in NAMES if path.with_suffix("").as_posix().endswith(f"/{owner}")] if owner else []
    return last in KEYS or any(last in NAMES[path] for path in modules or NAMES)


def test_the_rooms_are_those_of_the_package() -> None:
    lines = [line for line in ROOMS.splitlines() if re.match("  [a-z]", line)]
    names = {name.strip("/") for name in re.findall(r"(?<= )\w+(?:/|\.py)(?= |$)", "\n".join(lines))}
    assert names | {"__init__.py", "__main__.py", "py.typed"} == {
        path.name for path in PACKAGE.iterdir() if path in FILES
    }


def test_every_name_in_the_text_exists() -> None:
    text = PAGE.replace(ROOMS, "").replace(STEP, "").replace("```", "")
    names = {name for name in re.findall(r"`([^`]+)`", text) if not name.startswith("(")}  # (seed, t) is a formula
    assert len(names) > 40 and {name for name in names if not exists(name)} == set()


def test_the_step_is_as_drawn(tmp_path: Path) -> None:
    """The functions of the picture are called in its order, each by the one that it stands below."""
    lines = [re.match(r"( *)([\w.]+)", line) for line in STEP.splitlines() if not line.startswith(" " * 12)]
    drawn = [(len(line[1]) // 2, line[2]) for line in lines if line is not None]
    names, called = {name for _, name in drawn}, []
    depth = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal depth
        name = frame.f_code.co_qualname
        if name in names and frame.f_code.co_filename.startswith(str(PACKAGE)) and event in ("call", "return"):
            if event == "call":
                called.append((depth, name))
            depth += 1 if event == "call" else -1

    setup = Setup(("mlp", "augment=ada"), tmp_path / "run")
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        setup.train(1)
    finally:
        sys.setprofile(before)
    assert called == drawn
