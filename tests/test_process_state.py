"""No test leaves anything of its process changed, so that none depends on those before it."""

import importlib
import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra._internal import hydra as hydra_internal

from process_state import process_unchanged


def put_nowhere(number: int, frame: object) -> None: ...


def import_own(place: Path) -> None:
    (place / "module_of_a_test.py").write_text("")
    sys.path.insert(0, str(place))
    importlib.import_module("module_of_a_test")


# What a test might do -> what shows it.
CHANGES: dict[str, tuple[Callable[[Path], object], Callable[[], object]]] = {
    "a variable": (lambda place: os.environ.update(NEW="1", HOME=str(place)), lambda: dict(os.environ)),
    "the working directory": (os.chdir, Path.cwd),
    "the import path": (lambda place: sys.path.append(str(place)), lambda: list(sys.path)),
    "a module": (import_own, lambda: "module_of_a_test" in sys.modules),
    "the words": (lambda place: setattr(sys, "argv", ["x"]), lambda: sys.argv),
    "a handler of the log": (
        lambda place: logging.getLogger().addHandler(logging.NullHandler()),
        lambda: list(logging.getLogger().handlers),
    ),
    "the log's level": (lambda place: logging.getLogger().setLevel(1), lambda: logging.getLogger().level),
    "no log": (lambda place: logging.disable(), lambda: logging.getLogger().manager.disable),
    "a signal": (lambda place: signal.signal(signal.SIGUSR1, put_nowhere), lambda: signal.getsignal(signal.SIGUSR1)),
    "Hydra": (lambda place: setattr(hydra_internal, "Hydra", None), lambda: hydra_internal.Hydra),
    "threads": (lambda place: torch.set_num_threads(2), torch.get_num_threads),
    "the type of floats": (lambda place: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "no gradients": (lambda place: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "deterministic": (
        lambda place: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_is_put_back(what: str, tmp_path: Path) -> None:
    change, look = CHANGES[what]
    before = look()
    with process_unchanged(tmp_path):
        change(tmp_path)
        assert look() != before
    assert look() == before


def test_each_test_draws_the_same() -> None:
    drawn = []
    for _ in range(2):
        with process_unchanged():
            drawn.append((random.random(), float(np.random.rand()), torch.rand(()).item()))
    assert drawn[0] == drawn[1]


def test_a_working_directory_that_was_removed(tmp_path: Path) -> None:
    before = Path.cwd()
    with process_unchanged():
        (tmp_path / "gone").mkdir()
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
    assert Path.cwd() == before
