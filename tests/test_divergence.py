"""The cause that is named is the one that the run was given."""

import pytest

from builders import small_config
from gan_exp.divergence import likely_cause


@pytest.mark.parametrize(
    ("overrides", "metrics", "cause", "remedy"),
    [
        (("lr=0.5",), {}, "optimizer.discriminator.lr=0.5 is far above", "lr=2e-4"),
        (("optimizer.generator.lr=0.1",), {}, "optimizer.generator.lr=0.1 is far above", "lr=2e-4"),
        (("penalty=r1",), {"penalty/r1": 1e6}, "the penalty grew to 1e+06", "penalty.gamma=0.01"),
        (("penalty=wgan_gp",), {"penalty/wgangp": 2e4}, "the penalty grew to 2e+04", "penalty.weight=1"),
        (("loss=hinge",), {}, "nothing bounds D's logits, and the loss Hinge", "penalty=r1"),
        (("loss=hinge", "spectral_norm=true"), {}, "the learning rate is too large", "a smaller lr"),
        (("loss=wgan", "loss.clip=0.01"), {}, "the learning rate is too large", "a smaller lr"),
        (
            (),
            {"gradient_norm/generator": 1e5},
            "the generator's gradients had grown to a norm",
            "a smaller lr",
        ),
        ((), {"gradient_norm/generator": 1.0, "penalty/r1": 0.1}, "the learning rate is too large", "a smaller lr"),
    ],
)
def test_the_cause_is_named(overrides: tuple[str, ...], metrics: dict[str, float], cause: str, remedy: str) -> None:
    found = likely_cause(small_config("mlp", *overrides), metrics)
    assert found[0].startswith(cause) and found[1].startswith(remedy)
