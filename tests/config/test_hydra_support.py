"""Names of a sweep's runs."""

import pytest

from gan_exp.config.hydra_support import LONGEST_LABEL, constant_keys, job_label, label


@pytest.mark.parametrize(
    ("words", "constants"),
    [
        (["lr=1e-4,2e-4", "steps=10"], {"steps"}),
        (["seed=range(3)", "model=mlp", "+extra=1"], {"model", "+extra"}),
        (["seed=choice(1)", "lr=choice(1,2)"], {"seed"}),
        (["model.generator.widths=[8],[9]", "model.discriminator.widths=[8,9]"], {"model.discriminator.widths"}),
        (["lr=interval(0,1)", "name='a,b'"], {"name"}),  # of another sweeper
        (["lr=[", "seed=1"], {"seed"}),  # Hydra itself says what is wrong
    ],
)
def test_the_keys_that_are_the_same_in_all_runs(words: list[str], constants: set[str]) -> None:
    assert constant_keys(words) == constants


def test_what_another_sweeper_adds_is_in_the_name() -> None:
    assert job_label(["steps=10", "lr=0.3"], constant_keys(["steps=10"])) == "lr=0.3"


def test_what_is_cut_off_makes_a_difference() -> None:
    first, second = (label(f"model.generator.widths=[{'8,' * 60}{last}]") for last in (8, 9))
    assert first != second and len(first) == len(second) == LONGEST_LABEL
    assert label("seed=1,lr=1e-4") == "seed=1,lr=1e-4" and label("a b/../c") == "a_b_.._c"
