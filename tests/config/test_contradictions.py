"""Settings that do not go together: refused before anything is written, or set by default and reported."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from builders import small_config
from gan_exp.config.contradictions import choices, refuse_new, refuse_new_with
from gan_exp.config.schema import Config
from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.models.spectral import normalise_spectrally
from gan_exp.training.build import build_state
from gan_exp.training.session import start_run

CPU = torch.device("cpu")


def check_new(config: Config) -> None:
    refuse_new(config)
    state = build_state(config, DataSpec((1, 16, 16), num_classes=10), CPU)
    refuse_new_with(config, state.networks, CPU)


@pytest.mark.parametrize(
    ("words", "clip"),
    [
        ("loss=wgan", 0.01),
        ("loss=wgan penalty=r1", 0.01),
        ("loss=wgan penalty=wgan_gp", None),
        ("loss=wgan penalty=dragan", None),
        ("loss=wgan spectral_norm=true", None),
        ("loss=wgan loss.clip=0.05", 0.05),
        ("loss=wgan loss.clip=null", None),
    ],
)
def test_weights_are_clipped_where_nothing_else_bounds_a_wasserstein_d(words: str, clip: float | None) -> None:
    config = small_config("mlp", *words.split())
    assert config.loss["clip"] == clip
    check_new(config)
    reported = [line for line in choices(config) if line.startswith("loss.clip=null: ")]
    assert len(reported) == any(other in words for other in ("wgan_gp", "dragan", "spectral_norm"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "words", "sentence"),
    [
        ("mlp", "loss=wgan loss.clip=0.01 penalty=wgan_gp", "loss.clip=0.01: .*penalty=wgan_gp.*set loss.clip=null"),
        ("mlp", "loss=wgan loss.clip=0.01 penalty=dragan", "loss.clip=0.01: .*penalty=dragan"),
        ("mlp", "loss=wgan loss.clip=0.01 spectral_norm=true", "loss.clip=0.01: .*spectral_norm=true"),
        ("dcgan", "penalty=wgan_gp model.discriminator.batch_norm=true", r"BatchNorm \(stages.3\).*batch_norm=false"),
        ("mlp", "batch_size=1", r"batch_size=1: the generator's BatchNorm \(layers.2\).*set batch_size=2 or more"),
        ("dcgan", "batch_size=1", "batch_size=1: the generator's BatchNorm"),
        ("dcgan", "batch_size=4 pac=4", "batch_size=4 and pac=4: the discriminator's BatchNorm.*batch_size=8 or more"),
        ("mlp", "+optimizer.generator.capturable=true", "optimizer.generator.capturable=true: is for CUDA"),
        ("dcgan", "penalty=r1_r2_fd model.discriminator.batch_norm=true", "BatchNorm.*batch_norm=false"),
        ("mlp", "optimizer=sgd schedule=r3gan", "schedule.beta2: SGD has no betas"),
    ],
)
def test_refused(model: str, words: str, sentence: str) -> None:
    config = small_config(model, *words.split())
    with pytest.raises(UserError, match=sentence):
        check_new(config)


def test_differences_that_bfloat16_rounds_away_are_refused_also_on_resume() -> None:
    with pytest.raises(UserError, match=r"penalty\.sigma=0\.01: bfloat16.*sigma=0\.1"):
        small_config("mlp", "penalty=r1_r2_fd", "penalty.sigma=0.01", "device.precision=bf16")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("r3gan", "batch_size=1"),  # nothing normalises
        ("mlp", "batch_size=4 pac=4"),  # D has no BatchNorm
        ("dcgan", "batch_size=2"),
        ("mlp", "spectral_norm=true penalty=r1"),
        ("mlp", "spectral_norm=true penalty=r1_r2_fd"),  # weights are normalised once for all passes of an update
        ("dcgan", "penalty=r1"),
    ],
)
def test_not_refused(model: str, words: str) -> None:
    check_new(small_config(model, *words.split()))


class OwnGenerator(nn.Module):
    """Of a user's; its normalisation is found wherever it is."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList([nn.Linear(8, 64), nn.Sequential(nn.BatchNorm1d(64))])

    def forward(self, latents: Tensor) -> Tensor:
        raise NotImplementedError


def behind_weight_norm(layer: nn.Module) -> nn.Module:
    """Not the first of its parametrizations, so it is not that of the whole update."""
    normalise_spectrally(parametrizations.weight_norm(layer))
    return layer


@pytest.mark.parametrize(
    ("normalise", "turns"),
    [
        (parametrizations.spectral_norm, True),
        (nn.utils.spectral_norm, True),
        (behind_weight_norm, True),
        (parametrizations.weight_norm, False),
    ],
)
@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_differences_need_a_network_that_stays_the_same(
    normalise: Callable[[nn.Module], nn.Module], turns: bool
) -> None:
    discriminator = nn.Sequential(nn.Flatten(), nn.Sequential(normalise(nn.Linear(64, 1))))
    config = small_config("mlp", "penalty=r1_r2_fd")
    with pytest.raises(UserError, match=r"spectral norm \(1.0\) changes") if turns else nullcontext():
        refuse_new_with(config, {"generator": nn.Linear(8, 64), "discriminator": discriminator}, CPU)


def test_a_batch_norm_of_the_users_own_is_found() -> None:
    config = small_config("mlp", "batch_size=1")
    state = build_state(config, DataSpec((1, 16, 16), num_classes=10), CPU)
    state.generator = OwnGenerator()
    with pytest.raises(UserError, match=r"the generator's BatchNorm \(inner\.1\.0\)"):
        refuse_new_with(config, state.networks, CPU)


def test_wgan_gp_gives_dcgans_d_no_batch_norm_and_says_so() -> None:
    config = small_config("dcgan", "loss=wgan", "penalty=wgan_gp")
    check_new(config)
    state = build_state(config, DataSpec((1, 16, 16), num_classes=10), CPU)
    convolutions = [layer for layer in state.discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert all(layer.bias is not None for layer in convolutions)
    assert [line.partition(":")[0] for line in choices(config)] == [
        "loss.clip=null",
        "model.discriminator.batch_norm=false",
    ]
    assert small_config("dcgan").model.discriminator["batch_norm"] is True


OWN_PENALTY = """
class Lipschitz:
    at_reals, at_fakes, bounds_gradient, per_sample = False, False, True, True

    def __init__(self, weight: float = 1.0) -> None:
        pass

class Mute:
    at_reals, at_fakes = True, False

    def __init__(self, weight: float = 1.0) -> None:
        pass
"""


def test_a_penalty_of_the_users_own_says_what_it_needs(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("own_penalties.py").write_text(OWN_PENALTY)
    monkeypatch.setenv("GAN_EXP_TRUST", "own_penalties")
    bounding = ["loss=wgan", "penalty=wgan_gp", "penalty._target_=own_penalties.Lipschitz"]
    config = small_config("dcgan", *bounding)
    assert (config.loss["clip"], config.model.discriminator["batch_norm"]) == (None, False)
    assert choices(config)[0] == "loss.clip=null: D's weights are not clipped, since penalty=Lipschitz bounds D"
    with pytest.raises(UserError, match=r"loss.clip=0.1: .* contradict penalty=Lipschitz"):
        check_new(small_config("mlp", *bounding, "loss.clip=0.1"))
    with pytest.raises(UserError, match=r"penalty=Lipschitz: takes the gradient .*BatchNorm"):
        check_new(small_config("dcgan", *bounding, "model.discriminator.batch_norm=true"))

    config = small_config("dcgan", "loss=wgan", "penalty=wgan_gp", "penalty._target_=own_penalties.Mute")
    assert (config.loss["clip"], config.model.discriminator["batch_norm"]) == (0.01, True)
    check_new(config)
    assert choices(config) == []


def test_schedules_of_nothing_are_reported() -> None:
    config = small_config("mlp", "schedule=r3gan", "ema_halflife_kimg=0")
    assert [line.partition(":")[0] for line in choices(config)] == ["schedule.penalty", "schedule.ema"]


def test_nothing_is_written_before(in_tmp: Path) -> None:
    with pytest.raises(UserError, match="batch_size=1: "):
        start_run(small_config("mlp", "batch_size=1"), "run")
    assert list(in_tmp.iterdir()) == []


def test_a_word_about_mirrored_digits() -> None:
    assert [line[:20] for line in choices(small_config("mlp", "dataset.mirror=true"))] == ["dataset.mirror=true:"]
