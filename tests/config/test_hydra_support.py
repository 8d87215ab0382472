"""Names of a sweep's runs."""

from gan_exp.config.hydra_support import LONGEST_LABEL, job_label, label


def test_what_differs_is_in_the_name() -> None:
    assert job_label(["steps=10", "lr=0.3", "+extra=1"], {"steps", "+extra"}) == "lr=0.3"


def test_what_is_cut_off_makes_a_difference() -> None:
    first, second = (label(f"model.generator.widths=[{'8,' * 60}{last}]") for last in (8, 9))
    assert first != second and len(first) == len(second) == LONGEST_LABEL
    assert label("seed=1,lr=1e-4") == "seed=1,lr=1e-4" and label("a b/../c") == "a_b_.._c"
