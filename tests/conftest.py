"""Fixtures: an empty directory, and a run that takes a moment."""

import contextlib
import functools
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from omegaconf import _utils as omegaconf_utils
from omegaconf import base as omegaconf_base
from omegaconf import grammar_parser

from process_state import process_unchanged

# Networks this small gain nothing from a second thread, and wait for each other where cores are shared: a step can take
# fifty times as long then. Read by torch when it is imported, and by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that a run writes wait for the disk, dozens of times: tests' folders are in memory, where there is enough.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4e9:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# What commands keep for later, such as trained features and packed folders, stays out of the user's cache. It is kept
# until the end of this session for all its processes: xdist's workers, and those that tests start.
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not IS_WORKER:
    os.environ["GAN_EXP_CACHE"] = tempfile.mkdtemp(prefix="gan-exp-cache-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))
CACHE = os.environ["GAN_EXP_CACHE"]


def pytest_unconfigure() -> None:
    if not IS_WORKER:
        shutil.rmtree(CACHE, ignore_errors=True)


# For every property test, those included that set anything else: a busy machine must fail nothing.
settings.register_profile("no time limits", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no time limits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the slowest tests first, so that none of several processes is left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("crash_long")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def process_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Undo what a command sets for its process."""
    with process_unchanged(tmp_path_factory.getbasetemp()):
        yield


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
    with process_unchanged(), contextlib.chdir(place):
        assert main(["train", *words, *widths, "display=quiet", "hydra.run.dir=run"]) == 0
    return place / "run"


@pytest.fixture
def run(trained: Path, in_tmp: Path) -> Path:
    """A copy of it that a test may change, `run` in the working directory."""
    shutil.copytree(trained, "run")
    return Path("run")


@pytest.fixture(scope="session", autouse=True)
def interpolations_are_read_once() -> None:
    """A fifth of the time to compose a configuration, and always the same few."""
    read = functools.cache(grammar_parser.parse)
    for module in (omegaconf_base, omegaconf_utils):
        module.parse = read  # type: ignore[attr-defined]


# What has nothing to do with the memory of a step.
PACE = {
    *("name", "chosen", "steps", "lr", "schedule", "seed", "dataset", "start_from", "start_keep", "check_resources"),
    *("log_every_steps", "sample_every_steps", "display", "best_metric"),
    *("checkpoint_every_steps", "keep_checkpoints", "evaluate_every_steps", "evaluate_count"),
}


@pytest.fixture(scope="session", autouse=True)
def memory_of_a_step_is_counted_once() -> None:
    """For all runs with the same networks and the same step: counting takes half of the time of a run of few steps."""
    from gan_exp.training import needs

    count, counted = needs._step_memory, dict[str, Any]()

    def once(config: Any, state: Any, data: Any, rows: int, device: Any) -> Any:
        plain = config.model_dump(exclude=PACE)
        for optimizer in plain["optimizer"].values():
            optimizer.pop("lr", None)
        key = f"{plain} {needs._samples(config, data)} {data.spec} {rows} {device.type}"
        if key not in counted:
            counted[key] = count(config, state, data, rows, device)
        return counted[key]

    needs._step_memory = once


@pytest.fixture(scope="session", autouse=True)
def forked_jobs() -> None:
    """Jobs in forks of this process: they begin at once, and with what a test has patched. Few steps are timed."""
    from gan_exp.sweeps import process, trial

    process.CONTEXT = multiprocessing.get_context("fork")
    trial.SLICE_S = 0.0


@pytest.fixture
def quick_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feature networks that have learned for a moment, once for all tests."""
    from gan_exp.evaluation.features import choice, trained

    def briefly(design: Any, data: Any, held_out: Any, device: Any, say: Any) -> Any:
        return trained.trained_features(design, data, held_out, device, say, images=500)

    monkeypatch.setattr(choice, "trained_features", briefly)
