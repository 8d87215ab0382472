"""Tests that need a GPU: captured steps against plain ones, and whole runs resumed to the last bit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from builders import assert_same
from gan_exp.data.packed import Batches, PackedImages, Sampling
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.transfer import SideStream
from gan_exp.training.acceleration.captured import WARM_UPS, CapturedStep
from gan_exp.training.acceleration.programs import Programs
from gan_exp.training.build import build_step_config
from gan_exp.training.running_means import BLOCK
from gan_exp.training.state import gradient_norm
from setups import Setup

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: nothing else has its graphs")

RECIPES = [
    ("mlp", "optimizer=keras_adam", "split_updates=true", "inference_fakes=true", "sampling=with_replacement"),
    ("dcgan", "conditional=true", "ema_halflife_kimg=0.05", "schedule=cosine"),
    ("dcgan", "augment=diffaugment", "penalty=r1", "penalty.every=4", "instance_noise=0.1"),
    ("mlp", "augment=ada", "augment.every=2", "augment.images_to_one=200", "n_critic=3"),
    ("mlp", "loss=wgan", "loss.clip=null", "penalty=wgan_gp", "n_critic=5", "optimizer.generator.betas=[0.0,0.9]"),
    ("mlp", "loss=wgan", "loss.clip=0.05", "optimizer=rmsprop", "n_critic=2"),
    ("mlp", "optimizer=sgd", "optimizer.generator.momentum=0.9", "penalty=dragan"),
    ("r3gan", "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "conditional=true"),
    ("resnet", "spectral_norm=true", "loss=hinge", "optimizer=adamw"),
    ("points", "dataset=ring", "dataset.count=500", "loss=rpgan", "penalty=r1_r2", "latent_dim=2"),
]


COMPILED = [RECIPES[0], ("mlp", "penalty=r1", "penalty.every=2", "schedule=r3gan")]


def setup_of(
    overrides: tuple[str, ...], folder: Path, captured: bool = True, state: dict[str, Any] | None = None
) -> Setup:
    exact = ("device.name=cuda", "device.deterministic=true", "steps=40", f"lr={2**-11}")  # that lr is one in float32
    return Setup((*overrides, *exact), folder, captured, state=state)


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Any:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("sampling", ["shuffled", "with_replacement"])
def test_batches_and_latents_are_those_of_a_cpu(sampling: Sampling) -> None:
    """Wherever the data lies."""
    images = torch.arange(100).byte().view(100, 1, 1, 1)
    for number in range(20):
        here, there = (
            Batches(PackedImages(images.to(where)), 16, sampling, 0).draw(number) for where in ("cpu", "cuda")
        )
        assert there.images.device.type == "cuda" and torch.equal(here.images, there.images.cpu())
        latents = Streams(0, "cuda").latents(number, "generator", 16, 8)
        assert torch.equal(latents.cpu(), Streams(0).latents(number, "generator", 16, 8))


@pytest.mark.parametrize("overrides", RECIPES, ids="-".join)
def test_captured_steps_equal_plain_ones(overrides: tuple[str, ...], tmp_path: Path) -> None:
    plain = setup_of(overrides, tmp_path / "plain", captured=False).train(25)
    captured = setup_of(overrides, tmp_path / "captured", captured=True).train(25)
    assert captured.warnings == [] and isinstance(captured._step_fn, CapturedStep) and captured._step_fn._recordings
    for network in ("generator", "discriminator"):
        ours, theirs = (getattr(setup.state, network).state_dict() for setup in (captured, plain))
        for name, value in ours.items():
            torch.testing.assert_close(
                value, theirs[name], rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )
        norms = [gradient_norm(getattr(setup.state, network).parameters()).item() for setup in (captured, plain)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-2)
    means = [setup.trainer.running_means.read() for setup in (captured, plain)]
    assert means[0] == pytest.approx(means[1], rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("overrides", RECIPES, ids="-".join)
def test_a_replay_is_the_warm_up_to_the_last_bit(
    overrides: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a resumed run, which warms up anew, equals one never stopped."""
    captured = setup_of(overrides, tmp_path / "captured", captured=True).train(20)
    monkeypatch.setattr("gan_exp.training.acceleration.captured.WARM_UPS", 1000)
    eager = setup_of(overrides, tmp_path / "eager", captured=True).train(20)
    assert_same(captured.outcome, eager.outcome)


@pytest.mark.parametrize("overrides", [RECIPES[0], RECIPES[1]], ids="-".join)
def test_a_step_does_not_wait_for_the_gpu(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """Its draws and running means included: Python prepares the next step while the GPU is busy with this one."""
    setup = setup_of(overrides, tmp_path / "run", captured=True).train(34)  # until nothing is left to capture
    torch.cuda.set_sync_debug_mode("error")
    try:
        setup.train(BLOCK)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert setup.warnings == []


@pytest.mark.parametrize("overrides", COMPILED, ids="-".join)
def test_compiled_steps_equal_plain_ones(overrides: tuple[str, ...], tmp_path: Path) -> None:
    plain = setup_of(overrides, tmp_path / "plain", captured=False).train(20)
    compiled, said = setup_of(overrides, tmp_path / "compiled", captured=False), list[str]()
    step_fn = CapturedStep(
        compiled.state,
        build_step_config(compiled.config),
        torch.device("cuda"),
        compiled.config.schedule.beta2 is not None,
        compiled.warnings.append,
        programs=Programs(said.append),
    )
    compiled._step_fn = step_fn
    compiled.train(20)
    assert compiled.warnings == [] and step_fn._recordings and all("compiled in" in line for line in said)
    for network in ("generator", "discriminator"):
        ours, theirs = (getattr(setup.state, network).state_dict() for setup in (compiled, plain))
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-4)


def test_a_checkpoint_is_copied_at_its_instant_without_waiting() -> None:
    weight = torch.ones(1000, 1000, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        (copied,), arrived = SideStream(torch.device("cuda")).snapshot([weight])
        weight.zero_()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    arrived()
    assert copied.device.type == "cpu" and bool((copied == 1).all())


def test_resumed_steps_equal_those_never_stopped(tmp_path: Path) -> None:
    whole = setup_of(RECIPES[0], tmp_path / "whole", captured=True).train(20)
    first = setup_of(RECIPES[0], tmp_path / "first", captured=True).train(WARM_UPS + 4)
    second = setup_of(RECIPES[0], tmp_path / "second", captured=True, state=first.state.state_dict())
    assert_same(second.train(20 - WARM_UPS - 4).state.state_dict(), whole.state.state_dict())


def test_a_step_that_reads_its_data_runs_without_a_graph(tmp_path: Path) -> None:
    setup = setup_of(("mlp",), tmp_path / "run", captured=True)
    setup.state.discriminator.register_forward_hook(lambda module, inputs, logits: logits + 0 * logits.sum().item())
    setup.train(8)
    assert setup.warnings == ["the step waits for the GPU, which no graph can"]


def test_a_broken_capture_changes_nothing(tmp_path: Path) -> None:
    """A hook that only a capture dislikes, so that the recording itself fails."""

    def upset(module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        if torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize()
        return logits

    reference = setup_of(RECIPES[0], tmp_path / "reference", captured=True).train(12)
    setup = setup_of(RECIPES[0], tmp_path / "run", captured=True)
    setup.state.discriminator.register_forward_hook(upset)
    setup.train(12)
    assert len(setup.warnings) == 1
    assert_same(setup.state.state_dict(), reference.state.state_dict())


@pytest.mark.parametrize("first", ["cpu", "cuda"])
def test_checkpoints_pass_between_cpu_and_gpu(first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the command line: what one device saved, the other goes on from."""
    from gan_exp.cli import main

    monkeypatch.chdir(tmp_path)
    second = "cpu" if first == "cuda" else "cuda"
    words = ["experiment=article", "dataset=digits", "steps=6", "display=quiet", "hydra.run.dir=run"]
    assert main(["train", *words, f"device={first}"]) == 0
    assert main(["resume", "run", "steps=12", f"device.name={second}", "display=quiet"]) == 0
    run = RunDir.open("run")
    assert load_checkpoint(run.list_checkpoints()[-1][1])["step"] == 12
