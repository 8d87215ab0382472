"""A finished run for the commands that take one."""

import contextlib
import shutil
from pathlib import Path

import pytest

from gan_exp.cli import main

STEPS = 4


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained once for all tests, which must not change it."""
    place = tmp_path_factory.mktemp("trained")
    words = [f"steps={STEPS}", "log_every_steps=1", "sample_every_steps=2", "checkpoint_every_steps=2", "batch_size=4"]
    widths = ["model.generator.widths=[8]", "model.discriminator.widths=[8]"]
    with contextlib.chdir(place):
        assert main(["train", *words, *widths, "display=quiet", "hydra.run.dir=run"]) == 0
    return place / "run"


@pytest.fixture
def run(trained: Path, in_tmp: Path) -> Path:
    """A copy to do anything with, called `run` in the directory one stands in."""
    shutil.copytree(trained, "run")
    return Path("run")
