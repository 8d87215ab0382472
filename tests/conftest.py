"""Fixtures: an empty directory, and a run that takes a moment."""

import contextlib
import logging
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Networks this small gain nothing from a second thread, and wait for each other where cores are shared: a step can take
# fifty times as long then. Read by torch when it is imported, and by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that a run writes wait for the disk, dozens of times: tests' folders are in memory, where there is enough.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4e9:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# For every property test, those included that set anything else: a busy machine must fail nothing.
settings.register_profile("no time limits", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no time limits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the slowest tests first, so that none of several processes is left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("crash_long")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Undo what a command sets for its process: environment variables, the import path, logging, torch's settings."""
    environment, path = dict(os.environ), list(sys.path)
    log = logging.getLogger()
    level, handlers = log.level, list(log.handlers)
    yield
    log.setLevel(level)
    log.handlers[:] = handlers
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    sys.path[:] = path
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # another number sums in another order


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in which `outputs/` appears."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny() -> list[str]:
    """Overrides for a run of three steps with a small mlp."""
    return [
        "steps=3",
        "log_every_steps=1",
        "sample_every_steps=2",
        "checkpoint_every_steps=2",
        "batch_size=4",
        "model.generator.widths=[8]",
        "model.discriminator.widths=[8]",
        "display=plain",
    ]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four steps, trained once for all tests, which must not change it."""
    from gan_exp.cli import main

    place = tmp_path_factory.mktemp("trained")
    words = ["steps=4", "log_every_steps=1", "sample_every_steps=2", "checkpoint_every_steps=2", "batch_size=4"]
    widths = ["model.generator.widths=[8]", "model.discriminator.widths=[8]"]
    with contextlib.chdir(place):
        assert main(["train", *words, *widths, "display=quiet", "hydra.run.dir=run"]) == 0
    return place / "run"


@pytest.fixture
def run(trained: Path, in_tmp: Path) -> Path:
    """A copy of it that a test may change, `run` in the working directory."""
    shutil.copytree(trained, "run")
    return Path("run")


@pytest.fixture(scope="session", autouse=True)
def forked_jobs() -> None:
    """Jobs in forks of this process: they begin at once, and with what a test has patched. Few steps are timed."""
    from gan_exp.sweeps import process, trial

    process.CONTEXT = multiprocessing.get_context("fork")
    trial.SLICE_S = 0.0


@pytest.fixture
def quick_classifier(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feature networks that have learned for a moment, kept for all tests of a process."""
    from gan_exp.evaluation.features import choice, trained

    def briefly(design: Any, data: Any, held_out: Any, device: Any, say: Any) -> Any:
        return trained.trained_features(design, data, held_out, device, say, images=500)

    monkeypatch.setattr(choice, "trained_features", briefly)
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path_factory.getbasetemp() / "features"))
