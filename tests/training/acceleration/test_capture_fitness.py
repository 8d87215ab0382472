"""No recipe's step makes the GPU wait: found without a GPU, by tensors on a device that has shapes but no numbers."""

import importlib
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from builders import small_config
from gan_exp.data.packed import Batch, DataSpec
from gan_exp.training import scoring
from gan_exp.training.acceleration.captured import CapturedStep
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.step_types import StepReport, UpdateInputs

pytestmark = pytest.mark.slow

META = torch.device("meta")  # in the GPU's place: reading a number back from there raises an error
FUSED = tuple(f"+optimizer.{network}.fused=true" for network in ("generator", "discriminator"))
SPEC = DataSpec((3, 8, 8), num_classes=10)


@pytest.fixture(autouse=True)
def one_pass_of_d(monkeypatch: pytest.MonkeyPatch) -> None:
    """For reals and fakes, as on a GPU, where such steps are taken."""
    monkeypatch.setattr(scoring, "on_gpu", lambda images: True)


class Watch(TorchDispatchMode):
    """Refuses kernels that work between two devices."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.kernels += 1
        # torch's fused optimizers know no such device; on a GPU they take all numbers of theirs that change from it.
        out = None if "_fused_" in str(func) else func(*args, **(kwargs or {}))
        devices = {leaf.device.type for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)}
        assert devices <= {"meta"}, f"{func} between {devices}"
        return out


class WatchingRecorder:
    """Runs each step at once, and watches its kernels."""

    def __init__(self) -> None:
        self.watch = Watch()

    def warm_up(self, run: Any) -> Any:
        copies = AssertionError("torch.tensor copies from the CPU, torch.full does not")
        with self.watch, patch.object(torch, "tensor", side_effect=copies):
            return run()


@pytest.fixture(autouse=True)
def a_device_that_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("adam", "rmsprop", "sgd"):
        module = importlib.import_module(f"torch.optim.{name}")
        monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda *_, **__: ["meta"], raising=False)
        monkeypatch.setattr(module, "_device_dtype_check_for_fused", lambda parameter: None, raising=False)


@pytest.mark.parametrize(
    "overrides",
    [
        ("mlp", "optimizer=keras_adam", "split_updates=true", "inference_fakes=true"),
        ("mlp", "optimizer=keras_adam", "schedule=r3gan"),
        ("mlp", "optimizer=sgd", "optimizer.generator.momentum=0.9", "reuse_fakes=true", *FUSED),
        ("mlp", "optimizer=adam", "schedule=linear", *FUSED),
        ("mlp", "optimizer=rmsprop", "loss=wgan", "loss.clip=0.01", "n_critic=2"),
        ("mlp", "+optimizer.generator.fused=false", "+optimizer.generator.weight_decay=0.1", "schedule=cosine"),
        ("dcgan", "augment=diffaugment", "penalty=r1", "conditional=true"),
        ("dcgan", "augment=ada", "penalty=wgan_gp", "augment.every=1", "pac=2"),
        ("resnet", "spectral_norm=true", "loss=hinge", "conditional=true", "instance_noise=0.1", "penalty=dragan"),
        ("r3gan", "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "conditional=true"),
        ("r3gan", "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "optimizer=adamw"),
    ],
    ids="-".join,
)
def test_no_kernel_of_a_step_waits(overrides: tuple[str, ...]) -> None:
    config, recorder = small_config(*overrides), WatchingRecorder()
    state, step_config = build_state(config, SPEC, META), build_step_config(config)
    step_fn = CapturedStep(state, step_config, META, config.schedule.beta2 is not None, recorder=recorder)  # type: ignore[arg-type]
    for _ in range(2):
        report = run_step(step_fn, config.n_critic)
    assert recorder.watch.kernels > 100
    assert report.generator_loss.device == META


def run_step(step_fn: CapturedStep, n_critic: int) -> StepReport:
    def rng_for(purpose: str) -> torch.Generator:
        return torch.Generator()

    def inputs() -> UpdateInputs:
        images = torch.zeros(16, *SPEC.image_shape, dtype=torch.uint8, device=META)
        return UpdateInputs(
            torch.randn(16, 8, device=META), Batch(images, torch.zeros(16, dtype=torch.long, device=META)), rng_for
        )

    return step_fn([inputs() for _ in range(n_critic)], inputs())
