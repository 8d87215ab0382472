"""Every pair of network, loss, penalty and augmentation takes steps."""

import itertools
from typing import Any, cast

import pytest
import yaml
from omegaconf import OmegaConf

from builders import small_config
from gan_exp.config import catalog
from gan_exp.config.check import check
from gan_exp.config.schema import Config
from gan_exp.training.build import build_state, build_step_config
from setups import discriminator_step, generator_step
from single_steps import CPU, SPEC, changed, latents, parameters, real_batch, rng_for

MODELS = ("mlp", "dcgan", "resnet", "r3gan", "fastgan", "points")
LOSSES = ("non_saturating", "minimax", "hinge", "lsgan", "wgan", "rpgan")
PENALTIES = ("none", "r1", "r1_r2", "r1_r2_fd", "wgan_gp", "dragan")
LABELS = ("false", "true")
CHOICES = [
    *([model, f"loss={loss}"] for model, loss in itertools.product(MODELS, LOSSES)),
    *([model, f"penalty={penalty}"] for model, penalty in itertools.product(MODELS, PENALTIES[1:])),
    *([model, f"augment={augment}"] for model, augment in itertools.product(MODELS, ("diffaugment", "ada"))),
    *([model, "spectral_norm=true"] for model in MODELS),
    *([model, "instance_noise=0.1"] for model in MODELS),
    *(["mlp", f"loss={loss}", f"penalty={penalty}"] for loss, penalty in itertools.product(LOSSES, PENALTIES)),
    *(["r3gan", "loss=rpgan", f"penalty={penalty}", "augment=ada"] for penalty in PENALTIES),
]
UNCONDITIONAL = [[model, "pac=2", f"loss={loss}"] for model, loss in itertools.product(MODELS, ("hinge", "rpgan"))]


def combined(model: str, *words: str) -> Config:
    """As `small_config` with these words, without composing two hundred configurations."""
    plain = small_config(model).model_dump()
    for word in words:
        key, _, value = word.partition("=")
        option = catalog.conf_dir() / key / f"{value}.yaml"
        plain[key] = yaml.safe_load(option.read_text() if option.exists() else value)
    if plain["augment"]["_target_"] == "gan_exp.augment.ADA":
        plain["augment"]["start_p"] = 0.7
    return check(cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(plain), resolve=True)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        # Labels go to the networks alone, so each choice is made with them or without, as the fields of a chessboard.
        *([*choice, f"conditional={LABELS[sum(divmod(number, 6)) % 2]}"] for number, choice in enumerate(CHOICES)),
        *UNCONDITIONAL,
        *([*choice, "penalty=r1_r2", "augment=ada"] for choice in UNCONDITIONAL),
    ],
    ids="-".join,
)
def test_every_combination_takes_steps(words: list[str]) -> None:
    config = combined(*words)
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    before = {network: parameters(network) for network in (state.generator, state.discriminator)}
    for seed in range(2):
        report = discriminator_step(state, step_config, real_batch(seed), latents(seed), rng_for)
        generator_loss, _ = generator_step(state, step_config, latents(seed + 10), rng_for, real_batch(seed + 10))
    assert (report.penalty is None) == (not any(word.startswith("penalty=") and word[8:] != "none" for word in words))
    assert report.loss.isfinite() and generator_loss.isfinite()
    assert report.real_logits.shape == report.fake_logits.shape == (16 // step_config.pac,)
    for network in (state.generator, state.discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.isfinite().all(), name
        assert any(parameter.grad.any() for parameter in network.parameters())
        assert any(changed(before[network], parameters(network)))
