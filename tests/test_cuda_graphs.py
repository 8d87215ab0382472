"""Captured steps against plain ones, with a tape in CUDA's place: the same kernels again, and no Python."""

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same, small_config
from gan_exp.build import build_data, build_rules, build_state
from gan_exp.config import Config
from gan_exp.cuda_graphs import WARM_UPS, CapturedPlayer, unfit
from gan_exp.cuda_recorder import CaptureFailed
from gan_exp.monitor.display import Display
from gan_exp.monitor.window import gradient_norm
from gan_exp.run_dir import RunDir
from gan_exp.state import TrainingState
from gan_exp.step import StepReport
from gan_exp.trainer import Trainer
from tape import TapeRecorder

CPU = torch.device("cpu")
EXACT_LR = f"lr={2**-11}"  # the same number in float32: then even the rounding is the same
ARTICLE = ("mlp", "optimizer=keras_adam", "split_updates=true", "inference_fakes=true", "sampling=with_replacement")
R3GAN = (
    "r3gan",
    "loss=rpgan",
    "penalty=r1_r2",
    "schedule=r3gan",
    "conditional=true",
    "optimizer.generator.betas=[0.0,0.9]",
)


@pytest.fixture(autouse=True)
def a_cpu_that_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch lets its capturable RMSprop run on GPUs only."""
    for name in ("rmsprop", "adam"):
        module = importlib.import_module(f"torch.optim.{name}")
        monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda supports_xla=True: ["cpu"])


class Game:
    """A trainer with the plain player or the captured one, and all reports of its steps."""

    def __init__(self, overrides: tuple[str, ...], folder: Path, captured: bool, recorder: Any = None) -> None:
        self.config: Config = small_config(*overrides)
        data = build_data(self.config, CPU)
        self.state = build_state(self.config, data.spec, CPU)
        run = RunDir.create(folder / f"run-{captured}", self.config.model_dump(mode="json"), {})
        self.trainer = Trainer(self.config, run, self.state, data, CPU, Display("quiet", run.log, "", 1))
        self.trainer.metrics_log.close()  # only single steps are played here
        if self.trainer.tensorboard is not None:
            self.trainer.tensorboard.close()
        self.recorder = recorder or TapeRecorder(lambda: tensors_of(self.state))
        self.told: list[str] = []
        self.reports: list[StepReport] = []
        scheduled = self.config.schedule.beta2 is not None
        player = self.trainer.play_step
        if captured:
            rules = build_rules(self.config)
            player = CapturedPlayer(self.state, rules, CPU, scheduled, self.told.append, self.recorder)
        self.trainer.play_step = self._noted(player)

    def _noted(self, player: Callable[..., StepReport]) -> Callable[..., StepReport]:
        def play(*turns: Any) -> StepReport:
            report = player(*turns)
            self.reports.append(copy.deepcopy(report))
            return report

        return play

    def play(self, steps: int) -> "Game":
        for _ in range(steps):
            self.trainer._play_step()
        return self

    @property
    def outcome(self) -> dict[str, Any]:
        state = self.state.state_dict()
        return {**state, "window": self.trainer.window.state_dict(), "reports": self.reports}


def tensors_of(state: TrainingState) -> list[Tensor]:
    """All that a step changes."""
    networks = [state.generator, state.discriminator, *([] if state.augment is None else [state.augment])]
    found = [value for network in networks for value in (*network.parameters(), *network.buffers())]
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        found += [value for of in optimizer.state.values() for value in of.values() if isinstance(value, Tensor)]
    return found


def assert_close(first: Any, second: Any, where: str = "") -> None:
    """Through containers, as many digits as chaos leaves."""
    if isinstance(first, Tensor):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5, msg=lambda text: f"{where}: {text}")
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_close(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_close(one, other, f"{where}[{index}]")
    else:
        assert first == (pytest.approx(second, rel=1e-6) if isinstance(first, float) else second), where


@pytest.mark.parametrize(
    ("overrides", "patterns"),
    [
        (("mlp",), 1),
        (("mlp", "reuse_fakes=true", "loss=rpgan", "n_critic=2"), 1),
        (("mlp", "optimizer=sgd", "optimizer.generator.momentum=0.9"), 1),
        (("mlp", "loss=wgan", "loss.clip=0.05", "n_critic=3", "optimizer=adamw"), 1),
        (("dcgan", "instance_noise=0.1", "conditional=true", "ema_halflife_kimg=0.05"), 1),
        (("dcgan", "augment=diffaugment", "penalty=r1"), 1),
        (("mlp", "augment=ada", "augment.every=2", "augment.images_to_one=200", "n_critic=3"), 2),
        (("mlp", "loss=wgan", "loss.clip=null", "penalty=wgan_gp", "n_critic=5"), 1),
        (("mlp", "penalty=r1", "penalty.every=4", "pac=2", "instance_noise=0.1"), 2),
        (("mlp", "penalty=dragan", "penalty.every=3", "n_critic=2", "augment=diffaugment"), 3),
        (("resnet", "spectral_norm=true", "loss=hinge"), 1),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_a_captured_game_is_the_plain_one_to_the_last_bit(
    overrides: tuple[str, ...], patterns: int, tmp_path: Path
) -> None:
    """Where the learning rate is the same number in float32, lazy penalties' and all."""
    plain, captured = (Game((*overrides, EXACT_LR), tmp_path, how) for how in (False, True))
    if "penalty.every" in str(overrides):  # StyleGAN2's factor on lr
        for game in (plain, captured):
            (group,) = game.state.discriminator_optimizer.param_groups
            group["lr"] = 2**-12
    plain.play(25)
    captured.play(25)
    assert (captured.recorder.recordings, captured.told) == (patterns, [])
    assert captured.recorder.warm_ups == WARM_UPS * patterns and captured.recorder.replays > 8
    assert_same(captured.outcome, plain.outcome)
    for network in ("generator", "discriminator"):
        norms = [gradient_norm(getattr(game.state, network)) for game in (plain, captured)]
        assert norms[0] == norms[1]


@pytest.mark.parametrize(
    "overrides",
    [
        (*ARTICLE, EXACT_LR),
        (*ARTICLE, "schedule=linear", "schedule.lr.start=0.0"),
        ("mlp", "schedule=cosine", "+optimizer.discriminator.weight_decay=0.01", "penalty=r1"),
        R3GAN,
        ("mlp", "schedule=r3gan", "optimizer=adamw"),
        ("mlp", "schedule=r3gan", "optimizer=keras_adam"),
        ("mlp", "loss=wgan", "optimizer=rmsprop", "n_critic=2"),
        ("mlp", "+optimizer.generator.fused=false", "+optimizer.discriminator.foreach=true"),
    ],
    ids="-".join,
)
def test_a_captured_game_is_the_plain_one_up_to_rounding(overrides: tuple[str, ...], tmp_path: Path) -> None:
    overrides = (*overrides, "steps=25")
    plain = Game(overrides, tmp_path, captured=False).play(25)
    captured = Game(overrides, tmp_path, captured=True).play(25)
    assert captured.recorder.replays == 25 - WARM_UPS
    assert_close(captured.outcome, plain.outcome)


@pytest.mark.parametrize("overrides", [ARTICLE, R3GAN, ("mlp", "optimizer=rmsprop"), ("mlp", "optimizer=sgd")])
def test_checkpoints_pass_between_the_paths(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """And one that is loaded into a state that was captured is what is played on from."""
    reference = Game(overrides, tmp_path / "a", captured=True).play(14)
    first = Game(overrides, tmp_path / "b", captured=True).play(7)
    torch.save(first.state.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    second = Game(overrides, tmp_path / "c", captured=True).play(6)  # of its own, forgotten now
    second.state.load_state_dict(copy.deepcopy(loaded))
    assert_same(second.play(7).state.state_dict(), reference.state.state_dict())
    assert second.recorder.recordings == 2  # the graphs of what was forgotten are gone
    plain = Game(overrides, tmp_path / "d", captured=False)
    plain.state.load_state_dict(copy.deepcopy(loaded))
    assert_close(plain.play(7).state.state_dict(), reference.state.state_dict())
    onward = Game(overrides, tmp_path / "e", captured=True)
    onward.state.load_state_dict(copy.deepcopy(plain.state.state_dict()))
    assert_close(onward.play(1).state.state_dict(), plain.play(1).state.state_dict())


class Reading(nn.Module):
    """Looks at its data in Python: what no graph can do."""

    def forward(self, features: Tensor) -> Tensor:
        return features * 1.5 if features.sum().item() > 1e9 else features


class Broken(TapeRecorder):
    """A capture that stops in the middle of G's backward pass."""

    def record(self, play: Any, generators: Any) -> Any:
        super().record(play, generators)
        raise CaptureFailed("no memory")


@pytest.mark.parametrize("overrides", [ARTICLE, ("dcgan", "penalty=r1", "instance_noise=0.1")])
def test_a_failed_capture_changes_nothing(overrides: tuple[str, ...], tmp_path: Path) -> None:
    game = Game(overrides, tmp_path, captured=True)
    reference = Game(overrides, tmp_path / "reference", captured=True)
    broken = Broken(lambda: tensors_of(game.state))
    player = CapturedPlayer(game.state, game.trainer.rules, CPU, False, game.told.append, broken)
    game.trainer.play_step = game._noted(player)
    assert_same(game.play(12).outcome, reference.play(12).outcome)
    assert game.told == ["no memory"] and broken.recordings == 1 and broken.warm_ups == 12
    assert all(parameter.requires_grad for parameter in game.state.discriminator.parameters())


def test_a_step_that_looks_at_its_data_is_played_without_a_graph(tmp_path: Path) -> None:
    game = Game(("mlp",), tmp_path, captured=False)
    game.state.discriminator.layers.append(Reading())  # type: ignore[operator,union-attr]
    recorder = TapeRecorder(lambda: tensors_of(game.state))
    told: list[str] = []
    game.trainer.play_step = CapturedPlayer(game.state, game.trainer.rules, CPU, False, told.append, recorder)
    game.play(6)
    assert told == ["the step waits for the GPU, which no graph can"] and recorder.replays == 0


def test_a_step_that_draws_differently_each_time_is_played_without_a_graph(tmp_path: Path) -> None:
    game = Game(("mlp", "instance_noise=0.1"), tmp_path, captured=False)
    recorder = TapeRecorder(lambda: tensors_of(game.state))
    told: list[str] = []
    player = CapturedPlayer(game.state, game.trainer.rules, CPU, False, told.append, recorder)
    game.trainer.play_step = player
    game.play(WARM_UPS)
    (seen,) = player._seen.values()
    seen.requests.reverse()
    game.play(2)
    assert told == ["random numbers for noise/real are not drawn in the same order each time"]


def test_betas_that_change_unannounced_are_refused(tmp_path: Path) -> None:
    game = Game(("mlp", "schedule=r3gan"), tmp_path, captured=False)
    game.trainer.play_step = CapturedPlayer(game.state, game.trainer.rules, CPU, recorder=game.recorder)
    with pytest.raises(ValueError, match="not announced"):
        game.play(3)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("mlp",), None),
        (ARTICLE, None),
        (R3GAN, None),
        (("mlp", "optimizer=rmsprop", "augment=ada"), None),
        (("mlp", "optimizer=sgd", "optimizer.generator.fused=false"), "an SGD that is not fused reads"),
        (("mlp", "optimizer.discriminator._target_=torch.optim.NAdam"), "NAdam reads"),
        (("mlp", "schedule=r3gan", "optimizer.generator.amsgrad=true"), "amsgrad has no form"),
    ],
)
def test_what_can_be_captured(overrides: tuple[str, ...], reason: str | None) -> None:
    prefix = tuple(f"+{word}" if "fused" in word or "amsgrad" in word else word for word in overrides)
    config = small_config(*prefix)
    state = build_state(config, build_data(config, CPU).spec, CPU)
    scheduled = config.schedule.beta2 is not None
    assert unfit(state, CPU, scheduled) == "CUDA graphs need a CUDA GPU"
    found = unfit(state, torch.device("cuda"), scheduled)
    assert (found is None) if reason is None else (found is not None and found.startswith(reason))
