"""Helpers for many tests: checked configurations from the YAML files, records read back, exact comparison."""

import copy
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from signal import Signals
from typing import Any

import pytest
import torch
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from torch import nn

from gan_exp.cli import main
from gan_exp.config.catalog import conf_dir, groups
from gan_exp.config.check import check
from gan_exp.config.compose import resolved
from gan_exp.config.hydra_guard import GuardedLoader
from gan_exp.config.hydra_support import register_resolvers
from gan_exp.config.schema import Config
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import UpdateInputs
from gan_exp.training.trainer import Trainer

SMALL = {
    "mlp": ("model=mlp", "model.generator.widths=[16,24]", "model.discriminator.widths=[24,16]"),
    "dcgan": ("model=dcgan", "model.generator.width=4", "model.discriminator.width=4"),
    "resnet": ("model=resnet", "model.generator.width=4", "model.discriminator.width=4"),
    "fastgan": ("model=fastgan", "model.generator.width=4", "model.discriminator.width=4"),
    "r3gan": (
        "model=r3gan",
        *(
            f"model.{network}.{setting}"
            for network in ("generator", "discriminator")
            for setting in ("width=4", "max_width=8", "blocks=1", "group_size=4")
        ),
    ),
    "points": ("model=points", "model.generator.widths=[12,8]", "model.discriminator.widths=[8,6]"),
}


# The plainest step and schedule, to which a test adds what it is about.
BASE = ("penalty=none", "schedule=constant", "reuse_fakes=false", "lr=2e-4")


@cache
def _of_options(*words: str) -> DictConfig:
    register_resolvers()
    loader = GuardedLoader(create_config_search_path(str(conf_dir())))
    config = loader.load_configuration("config", [*words], run_mode=RunMode.RUN)
    with open_dict(config):
        del config["hydra"]
    return config


def composed(words: Sequence[str]) -> dict[str, Any]:
    """What `gan-exp train WORDS` checks, but for the choices that `dataset=folder` alone leaves open.

    As Hydra does it, the options of groups first and then other keys, but each set of options is composed once, since
    that takes nearly a tenth of a second.
    """
    options = [word for word in words if word.partition("=")[0] in groups()]
    config = copy.deepcopy(_of_options(*options))
    others = [word for word in words if word not in options and not word.startswith("hydra.")]
    overrides = OverridesParser.create().parse_overrides(others)
    GuardedLoader._apply_overrides_to_config(overrides, config)
    return resolved(config)


@cache
def plain_config(*overrides: str) -> Config:
    """The configuration that `gan-exp train` makes of these words, on the CPU and without output."""
    return check(composed(["device=cpu", "display=quiet", *overrides]))


def make_config(*overrides: str) -> Config:
    """BASE with these words; a recipe among them alone, since it says all of its settings."""
    recipe = any(word.startswith("experiment=") for word in overrides)
    return plain_config(*(() if recipe else BASE), *overrides)


def small_config(model: str, *overrides: str) -> Config:
    """Narrow networks and few latents: a step takes a millisecond."""
    return make_config(*SMALL[model], "latent_dim=8", "batch_size=16", *overrides)


def in_each_step(monkeypatch: pytest.MonkeyPatch, act: Callable[[TrainingState], object]) -> Callable[[], None]:
    """Call `act` in the middle of a step of any StepFn. Returns a function that undoes the patch."""
    original = Trainer.train

    def train(trainer: Trainer) -> Signals | None:
        draw = trainer.inputs.generator

        def acting(*given: Any) -> UpdateInputs:
            act(trainer.state)
            return draw(*given)

        trainer.inputs.generator = acting  # type: ignore[method-assign]
        return original(trainer)

    monkeypatch.setattr(Trainer, "train", train)
    return lambda: monkeypatch.setattr(Trainer, "train", original)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which `gan-exp WORDS` ends."""
    capsys.readouterr()
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.err.startswith("gan-exp: ") and output.err.count("\n") == 1 and "Traceback" not in output.out
    return output.err


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def logged_lines(path: Path) -> list[dict[str, Any]]:
    """The lines with logged means; grids of samples have separate lines."""
    return [line for line in read_lines(path) if "loss/generator" in line]


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """Bit by bit, through containers."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    else:
        assert first == second, where
