"""Every remedy is one that this tool takes, on top of what the run was configured with, and it changes something."""

import itertools
from collections.abc import Callable

import pytest

from builders import make_config
from gan_exp.commands.doctor import with_override
from gan_exp.diagnosis import remedies
from gan_exp.diagnosis.divergence import likely_cause
from gan_exp.diagnosis.facts import Facts, facts_of

Remedies = Callable[[Facts], tuple[str, ...]]
ALL: dict[str, Remedies] = {
    "starving": remedies.starving,
    "idle": remedies.idle,
    "outplayed": remedies.outplayed,
    "collapsed": remedies.collapsed,
    "swinging": remedies.swinging,
    "remembered": remedies.remembered,
    "ripe": remedies.ripe,
    "diverged": lambda facts: likely_cause(facts, {})[1],
}
GAMES = [
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
@pytest.mark.parametrize(("game", "remedy"), list(itertools.product(GAMES, ALL)), ids=str)
def test_a_remedy_can_be_added_to_the_command_line(game: tuple[str, ...], remedy: str) -> None:
    config = make_config(*game)
    found = ALL[remedy](facts_of(config.model_dump()))
    assert 1 <= len(found) <= remedies.MOST and len(set(found)) == len(found)
    for override in found:
        changed = make_config(*with_override(list(game), override))
        assert changed.model_dump() != config.model_dump(), override


@pytest.mark.parametrize(
    ("remedy", "facts", "first"),
    [
        ("starving", Facts(generator_lr=1e-8), "optimizer.generator.lr=0.0002"),
        ("idle", Facts(discriminator_lr=1e-8), "optimizer.discriminator.lr=0.0002"),
        ("idle", Facts(generator_lr=2.0), "optimizer.generator.lr=0.0002"),
        ("idle", Facts(generator_lr=4e-3), "optimizer.generator.lr=0.0002"),
        ("idle", Facts(generator_lr=1.0, discriminator_lr=1.0), "lr=0.0002"),
        ("idle", Facts(loss="Wasserstein"), "penalty=r1"),
        ("idle", Facts(), "n_critic=2"),
        ("idle", Facts(n_critic=2), "optimizer.discriminator.lr=0.0008"),
        ("outplayed", Facts(discriminator_lr=2e-3), "optimizer.discriminator.lr=0.0002"),
        ("outplayed", Facts(discriminator_lr=2e-3, generator_lr=1e-7), "optimizer.generator.lr=0.0002"),
        ("outplayed", Facts(loss="Minimax"), "loss=non_saturating"),
        ("outplayed", Facts(n_critic=5), "n_critic=1"),
        ("outplayed", Facts(n_critic=5, loss="Wasserstein", clip=0.01), "penalty=r1"),
        ("outplayed", Facts(penalty="R1", strength=("gamma", 0.1)), "penalty.gamma=1"),
        ("collapsed", Facts(generator_lr=1e-3), "optimizer.generator.lr=0.0002"),
        ("collapsed", Facts(), "loss=rpgan penalty=r1_r2"),
        ("collapsed", Facts(generator_lr=1.0, discriminator_lr=1.0), "lr=0.0002"),
        ("swinging", Facts(momentum=0.9, penalty="R1"), "optimizer.generator.betas=[0.0,0.99] "),
        ("swinging", Facts(), "penalty=r1"),
        ("remembered", Facts(), "augment=diffaugment"),
        ("remembered", Facts(points=True), "penalty=r1"),
        ("ripe", Facts(), "schedule=cosine"),
        ("ripe", Facts(scheduled=True), "lr=5e-05"),
    ],
)
def test_the_likeliest_comes_first(remedy: str, facts: Facts, first: str) -> None:
    assert ALL[remedy](facts)[0].startswith(first)


def test_a_discriminator_s_tiny_rate_is_no_model_for_the_generator_s() -> None:
    assert ALL["idle"](Facts(discriminator_lr=1e-8)) == ("optimizer.discriminator.lr=0.0002", "n_critic=2")


def test_an_old_or_foreign_configuration_has_facts_too() -> None:
    facts = facts_of({"loss": {"_target_": "mine.Loss"}, "optimizer": None, "penalty": None})
    assert facts.loss == "Loss" and facts.penalty == "" and not facts.bounded
    assert all(function(facts) for function in ALL.values())
