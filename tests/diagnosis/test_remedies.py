"""Every remedy is one that this tool takes, on top of what the run was configured with, and it changes something."""

import itertools
from collections.abc import Callable

import pytest

from builders import make_config
from gan_exp.commands.doctor import with_override
from gan_exp.diagnosis import remedies
from gan_exp.diagnosis.divergence import likely_cause
from gan_exp.diagnosis.settings import RunSettings, settings_of

STARVED, IDLE = "generator not learning", "discriminator not learning"
COLLAPSE, WINS = "generator collapse", "discriminator wins"

Remedies = Callable[[RunSettings], tuple[str, ...]]
ALL: dict[str, Remedies] = {
    STARVED: remedies.generator_not_learning,
    IDLE: remedies.discriminator_not_learning,
    WINS: remedies.discriminator_wins,
    COLLAPSE: remedies.generator_collapse,
    "oscillation": remedies.oscillation,
    "memorising": remedies.memorising,
    "stalled": remedies.stalled,
    "diverged": lambda settings: likely_cause(settings, {})[1],
}
SETTINGS = [
    (),
    ("loss=minimax", "n_critic=5", "optimizer.discriminator.lr=2e-3", "optimizer.generator.lr=1e-4"),
    ("loss=wgan", "loss.clip=null", "penalty=wgan_gp", "n_critic=5", "optimizer.generator.lr=1e-8"),
    ("loss=rpgan", "penalty=r1_r2", "schedule=cosine", "pac=2", "ema_halflife_kimg=0"),
    ("loss=lsgan", "optimizer=sgd", "lr=3", "augment=diffaugment", "batch_size=15"),
    ("loss=hinge", "optimizer=rmsprop", "lr=0.5", "spectral_norm=true"),
    ("dataset=ring", "model=points", "optimizer.generator.betas=[0.9,0.999]", "optimizer.discriminator.lr=1e-7"),
    ("penalty=dragan", "optimizer.generator.eps=1e-20"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "remedy"), list(itertools.product(SETTINGS, ALL)), ids=str)
def test_a_remedy_can_be_added_to_the_command_line(words: tuple[str, ...], remedy: str) -> None:
    config = make_config(*words)
    found = ALL[remedy](settings_of(config.model_dump()))
    assert 1 <= len(found) <= remedies.MOST and len(set(found)) == len(found)
    for override in found:
        changed = make_config(*with_override(list(words), override))
        assert changed.model_dump() != config.model_dump(), override


@pytest.mark.parametrize(
    ("remedy", "settings", "first"),
    [
        (STARVED, RunSettings(generator_lr=1e-8), "optimizer.generator.lr=0.0002"),
        (IDLE, RunSettings(discriminator_lr=1e-8), "optimizer.discriminator.lr=0.0002"),
        (IDLE, RunSettings(generator_lr=2.0), "optimizer.generator.lr=0.0002"),
        (IDLE, RunSettings(generator_lr=4e-3), "optimizer.generator.lr=0.0002"),
        (IDLE, RunSettings(generator_lr=1.0, discriminator_lr=1.0), "lr=0.0002"),
        (IDLE, RunSettings(wants_bounded_critic=True), "penalty=r1"),
        (IDLE, RunSettings(), "n_critic=2"),
        (IDLE, RunSettings(n_critic=2), "optimizer.discriminator.lr=0.0008"),
        (WINS, RunSettings(discriminator_lr=2e-3), "optimizer.discriminator.lr=0.0002"),
        (WINS, RunSettings(discriminator_lr=2e-3, generator_lr=1e-7), "optimizer.generator.lr=0.0002"),
        (WINS, RunSettings(saturates=True), "loss=non_saturating"),
        (WINS, RunSettings(n_critic=5), "n_critic=1"),
        (WINS, RunSettings(n_critic=5, wants_bounded_critic=True, weight_bound=0.01), "penalty=r1"),
        (WINS, RunSettings(penalised=True, strength=("gamma", 0.1)), "penalty.gamma=1"),
        (COLLAPSE, RunSettings(generator_lr=1e-3), "optimizer.generator.lr=0.0002"),
        (COLLAPSE, RunSettings(), "loss=rpgan penalty=r1_r2"),
        (COLLAPSE, RunSettings(generator_lr=1.0, discriminator_lr=1.0), "lr=0.0002"),
        ("oscillation", RunSettings(momentum=0.9, penalised=True), "optimizer.generator.betas=[0.0,0.99] "),
        ("oscillation", RunSettings(), "penalty=r1"),
        ("memorising", RunSettings(), "augment=diffaugment"),
        ("memorising", RunSettings(points=True), "penalty=r1"),
        ("stalled", RunSettings(), "schedule=cosine"),
        ("stalled", RunSettings(lr_schedule=True), "lr=5e-05"),
    ],
)
def test_the_likeliest_comes_first(remedy: str, settings: RunSettings, first: str) -> None:
    assert ALL[remedy](settings)[0].startswith(first)


def test_a_discriminator_s_tiny_rate_is_no_model_for_the_generator_s() -> None:
    assert ALL[IDLE](RunSettings(discriminator_lr=1e-8)) == ("optimizer.discriminator.lr=0.0002", "n_critic=2")


def test_an_old_or_foreign_configuration_gives_settings_too() -> None:
    settings = settings_of({"loss": {"_target_": "mine.Loss"}, "optimizer": None, "penalty": None})
    assert settings.loss == "Loss" and not settings.penalised and not settings.bounded
    assert all(function(settings) for function in ALL.values())
