"""No recipe's step makes the GPU wait: found without a GPU, by tensors that have a device and shapes but no numbers."""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from builders import small_config
from gan_exp.build import build_rules, build_state
from gan_exp.cuda_graphs import CapturedPlayer
from gan_exp.data.packed import Batch, DataSpec
from gan_exp.step import StepReport, Turn

GPU = torch.device("cuda")
SPEC = DataSpec((3, 8, 8), num_classes=10)


class Watch(TorchDispatchMode):
    """Refuses kernels that copy between CPU and GPU. (Those that read numbers back have nothing to read here.)"""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.kernels += 1
        out = func(*args, **(kwargs or {}))
        devices = {leaf.device.type for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)}
        assert devices <= {"cuda"}, f"{func} between {devices}"
        return out


class Player:
    """Plays at once, watched."""

    def __init__(self) -> None:
        self.watch = Watch()

    def warm_up(self, play: Any) -> Any:
        with self.watch:
            return play()


@pytest.fixture(autouse=True)
def a_gpu_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "to", lambda module, *rest, **more: module)  # they are made where they should be
    for name in ("adam", "sgd"):
        monkeypatch.setattr(importlib.import_module(f"torch.optim.{name}"), "_device_dtype_check_for_fused", print)


@pytest.mark.parametrize(
    "overrides",
    [
        ("mlp", "optimizer=keras_adam", "split_updates=true", "inference_fakes=true"),
        ("mlp", "optimizer=keras_adam", "schedule=r3gan"),
        ("mlp", "optimizer=sgd", "optimizer.generator.momentum=0.9", "reuse_fakes=true"),
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
    config, recorder = small_config(*overrides), Player()
    with FakeTensorMode(), GPU:
        state, rules = build_state(config, SPEC, GPU), build_rules(config)
        player = CapturedPlayer(state, rules, GPU, config.schedule.beta2 is not None, recorder=recorder)  # type: ignore[arg-type]
        for _ in range(2):
            reports = play(player, config.n_critic)
    assert recorder.watch.kernels > 100
    assert reports.generator_loss.device.type == "cuda"


def play(player: CapturedPlayer, n_critic: int) -> StepReport:
    def draw(purpose: str) -> torch.Generator:
        return torch.Generator()

    def turn() -> Turn:
        images = torch.zeros(16, *SPEC.image_shape, dtype=torch.uint8)
        return Turn(torch.randn(16, 8), Batch(images, torch.zeros(16, dtype=torch.long)), draw)

    return player([turn() for _ in range(n_critic)], turn())
