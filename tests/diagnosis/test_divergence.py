"""The sentence names the cause that the run was given, and the last good checkpoint."""

import pytest

from builders import small_config
from gan_exp.diagnosis.divergence import DIVERGED, describe_divergence, likely_cause
from gan_exp.diagnosis.settings import RunSettings, settings_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "metrics", "cause", "remedies"),
    [
        (("lr=0.5",), {}, "optimizer.discriminator.lr=0.5 is far above", ("lr=0.0002",)),
        (("optimizer.generator.lr=0.1",), {}, "optimizer.generator.lr=0.1 is far", ("optimizer.generator.lr=0.0002",)),
        (("optimizer=sgd", "lr=3"), {}, "optimizer.discriminator.lr=3 is far above", ("lr=0.02",)),
        (("optimizer=sgd", "lr=0.02"), {}, "the learning rate is too large", ("lr=0.005", "penalty=r1")),
        (("penalty=r1",), {"penalty/r1": 1e6}, "the penalty grew to 1e+06", ("penalty.gamma=0.01", "lr=5e-05")),
        (("penalty=wgan_gp",), {"penalty/wgangp": 2e4}, "the penalty grew to 2e+04", ("penalty.weight=1", "lr=5e-05")),
        (("loss=hinge",), {}, "nothing bounds D's logits, and the loss Hinge", ("penalty=r1", "spectral_norm=true")),
        (("loss=hinge", "spectral_norm=true"), {}, "the learning rate is too large", ("lr=5e-05", "penalty=r1")),
        (("loss=wgan", "loss.clip=0.01"), {}, "the learning rate is too large", ("lr=5e-05", "penalty=r1")),
        (("loss=hinge", "penalty=r1"), {}, "the learning rate is too large", ("lr=5e-05",)),
        (
            ("optimizer.discriminator.lr=4e-4",),
            {"gradient_norm/generator": 1e5},
            "the generator's gradients had grown to a norm",
            ("optimizer.generator.lr=5e-05 optimizer.discriminator.lr=0.0001", "penalty=r1"),
        ),
        (("optimizer.generator.eps=1e-30",), {}, "the optimizer's eps", ("optimizer.generator.eps=1e-8",)),
        (
            (),
            {"gradient_norm/generator": 1.0, "penalty/r1": 0.1},
            "the learning rate is too",
            ("lr=5e-05", "penalty=r1"),
        ),
    ],
)
def test_the_cause_is_named(
    overrides: tuple[str, ...], metrics: dict[str, float], cause: str, remedies: tuple[str, ...]
) -> None:
    found = likely_cause(settings_of(small_config("mlp", *overrides).model_dump()), metrics)
    assert found[0].startswith(cause) and found[1] == remedies


@pytest.mark.parametrize(
    ("broken", "last_good", "where", "kept"),
    [
        ([], None, "inf: training", "last good checkpoint: none"),
        (["generator.a"], 0, "inf; generator.a holds such values: training", "last good checkpoint: step 0"),
        (["generator.a", "b"], 20, "inf; generator.a and b hold such values: training", "checkpoint: step 20"),
    ],
)
def test_the_sentence(broken: list[str], last_good: int | None, where: str, kept: str) -> None:
    fault = describe_divergence(7, "loss/generator is inf", broken, last_good, RunSettings(), {})
    sentence = str(fault)
    assert (fault.step, fault.remedies) == (7, ("lr=5e-05", "penalty=r1"))
    assert sentence.startswith("step 7: loss/generator is inf")
    assert where in sentence and kept in sentence and DIVERGED in sentence
    assert sentence.endswith(
        "Likely cause: the learning rate is too large for these settings; try lr=5e-05 or penalty=r1"
    )
