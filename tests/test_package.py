"""`import gan_exp` is light, complete for a type checker, and tells what it offers."""

import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import gan_exp
from written_runs import write_run

HEAVY = ("torch", "hydra", "omegaconf", "numpy", "pydantic", "rich", "yaml", "PIL")
SCRIPT = f"""
import sys
import gan_exp
loaded = set({HEAVY!r}) & set(sys.modules)
assert not loaded, loaded
assert gan_exp.train and gan_exp.evaluate and gan_exp.resume
run = gan_exp.load(sys.argv[1])
assert run.metrics and run.evaluations and run.config and repr(run) and gan_exp.compare(run)
loaded = {{"torch", "hydra"}} & set(sys.modules)
assert not loaded, loaded
"""


def test_neither_importing_it_nor_a_run_s_records_load_torch_or_hydra(tmp_path: Path) -> None:
    write_run(tmp_path / "run", scores={10: {"fid_cnn": 1.0}})
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "run")], check=True)


@pytest.mark.parametrize("name", gan_exp.__all__)
def test_everything_is_described_and_annotated(name: str) -> None:
    found = getattr(gan_exp, name)
    assert name in dir(gan_exp) and inspect.getdoc(found)
    methods = [] if not inspect.isclass(found) else [one for key, one in vars(found).items() if key[0] != "_"]
    functions = [one for one in (found, *methods) if inspect.isfunction(one)]
    for function in functions:
        assert inspect.getdoc(function), function
        parameters = inspect.signature(function).parameters.values()
        assert all(one.annotation is not one.empty for one in parameters if one.name != "self"), function
        assert inspect.signature(function).return_annotation not in (inspect.Signature.empty, typing.Any), function


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'gan_exp' has no attribute 'trian'"):
        gan_exp.trian  # noqa: B018


def test_the_annotations_are_offered_to_type_checkers() -> None:
    """The wheel takes all files of the package; this one is the mark of PEP 561."""
    assert (Path(gan_exp.__file__).parent / "py.typed").is_file()


PAGE = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["load", "train", "resume", "evaluate", "compare"])
def test_the_page_has_the_arguments_and_defaults(name: str) -> None:
    (told,) = re.findall(rf"^`gan_exp\.{name}\((.*?)\)`|the run\. `gan_exp\.{name}\((.*?)\)`", PAGE, re.MULTILINE)
    parameters = inspect.signature(getattr(gan_exp, name)).parameters.values()
    known = [
        one.name if one.default is one.empty else f"{one.name}={one.default!r}".replace("'", '"') for one in parameters
    ]
    assert "".join(told) == ", ".join(known)


def test_the_page_names_everything_that_a_run_has() -> None:
    public = {name for name in vars(gan_exp.Run) if not name.startswith("_")} - {"checkpoint", "average", "trusted"}
    assert public == set(re.findall(r"`run\.(\w+)", PAGE))
