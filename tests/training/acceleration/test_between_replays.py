"""What a captured step leaves to be started by Python, kernel by kernel, between two replays of its graph."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.speed.gpu.kernels import Launches

from gan_exp.training.acceleration.captured import WARM_UPS
from gan_exp.training.running_means import BLOCK
from setups import Setup, tensors_of
from tape import TapeRecorder

pytestmark = pytest.mark.slow


def test_running_means_and_inputs_cost_few_kernels(tmp_path: Path) -> None:
    """The report is written by the graph. Nothing is added up until 50 of them are, and then nothing is waited for."""
    overrides = ("mlp", "n_critic=2", "penalty=r1", "penalty.every=1", "conditional=true")
    setup = Setup(overrides, tmp_path / "run", True, lambda state: TapeRecorder(lambda: tensors_of(state)))
    trainer, kernels = setup.trainer, Launches()
    record = setup.recorder.record

    def recording(*given: Any) -> tuple[Any, Callable[[], None]]:
        with kernels.pause():
            result, replay = record(*given)

        def replaying() -> None:
            with kernels.pause():
                replay()

        return result, replaying

    setup.recorder.record = recording
    counts: dict[str, list[Counter[str]]] = {"step": [], "means": [], "average": []}

    @contextmanager
    def counting(what: str) -> Iterator[None]:
        kernels.found = Counter()
        with kernels:
            yield
        counts[what].append(kernels.found)

    for step in range(2 * BLOCK):
        inputs = trainer.inputs.discriminator(step, 1.0, True), trainer.inputs.generator(step, True)
        with counting("step"):
            report = setup._step_fn(*inputs)
        with counting("means"):
            trainer.running_means.add(report)
        with counting("average"):
            setup.state.update_ema(1000.0, 16, None)
    assert setup.recorder.replays == 2 * BLOCK - WARM_UPS
    for found in counts["step"][WARM_UPS + 1 :]:
        assert found == {"aten::fill_": 1, "aten::_foreach_copy_": 3}, found  # its place; latents, images, labels
    for found in counts["average"]:
        assert found == {"aten::_foreach_lerp_": 1, "aten::_foreach_copy_": 1}, found
    for number, found in enumerate(counts["means"], start=1):
        assert number % BLOCK == 0 or not found, (number, found)
        assert "aten::_local_scalar_dense" not in found
        assert found.total() < 2.5 * BLOCK, found
    assert torch.isfinite(torch.tensor(list(trainer.running_means.read().values()))).all()
