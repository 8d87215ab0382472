"""The shortcuts of the helpers make what the product makes."""

import pytest

from builders import composed
from gan_exp.config.compose import compose


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["lr=3e-4", "model=dcgan", "+optimizer.generator.amsgrad=true", "penalty=r1", "penalty.gamma=2"],
        ["experiment=article", "steps=7", "dataset=digits"],
        ["loss=wgan", "penalty=wgan_gp", "~device.index", "model.generator.widths=[8]", "++augment.p=0.5"],
        ["n_critic=2", "schedule=cosine", "schedule.lr.final=${lr}", "device=cpu"],
    ],
    ids=" ".join,
)
def test_a_configuration_is_composed_as_by_the_command(words: list[str]) -> None:
    assert composed(words) == compose(words).plain
