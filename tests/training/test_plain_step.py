"""`acceleration` can be missing: the plain step trains every recipe without it."""

import pkgutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from builders import small_config
from gan_exp.training import acceleration
from gan_exp.training.assembly import trial_step
from gan_exp.training.build import build_data, build_state
from gan_exp.training.step import train_step
from setups import Setup
from whole_runs import RECIPES

CPU = torch.device("cpu")


@pytest.fixture
def no_acceleration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules can't be imported, even those that have been before."""
    names = [module.name for module in pkgutil.iter_modules(acceleration.__path__)]
    for name in ("", *(f".{name}" for name in names)):
        monkeypatch.setitem(sys.modules, acceleration.__name__ + name, None)


@pytest.mark.parametrize("overrides", RECIPES, ids="-".join)
def test_every_option_trains_without_the_accelerations(
    overrides: tuple[str, ...], tmp_path: Path, no_acceleration: None
) -> None:
    """With the trainer that a run has, and with the step by which it chooses its threads."""
    setup = Setup(overrides, tmp_path / "run")
    assert isinstance(setup._step_fn, partial) and setup._step_fn.func is train_step
    assert setup.train(2).state.step == 2
    trial_step(setup.config, setup.state, build_data(setup.config, CPU), CPU)()


def test_another_path_needs_them(no_acceleration: None) -> None:
    """So the fixture does block them."""
    config = small_config("mlp")
    data = build_data(config, CPU)
    with pytest.raises(ModuleNotFoundError, match="acceleration"):
        trial_step(config, build_state(config, data.spec, CPU), data, CPU)
