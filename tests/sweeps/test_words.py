"""Words of a sweep become those of its jobs; what can't be combined is refused in a sentence."""

import pytest

from gan_exp.errors import UserError
from gan_exp.sweeps.sweep import _constants
from gan_exp.sweeps.words import Choices, Expansion, choices, jobs_of, size


def expansion(*words: str, linked: tuple[str, ...] = ()) -> Expansion:
    return Expansion(words, tuple(tuple(keys.split(",")) for keys in linked))


def test_every_combination_the_last_key_changing_fastest() -> None:
    assert jobs_of(expansion("lr=1e-3,1e-4", "steps=5", "seed=range(0,2)")) == [
        ["lr=0.001", "steps=5", "seed=0"],
        ["lr=0.001", "steps=5", "seed=1"],
        ["lr=0.0001", "steps=5", "seed=0"],
        ["lr=0.0001", "steps=5", "seed=1"],
    ]


def test_the_last_word_of_a_key_counts() -> None:
    assert jobs_of(expansion("lr=1,2", "lr=3")) == [["lr=3"]]


def test_linked_values_go_together_and_the_rest_is_combined() -> None:
    found = jobs_of(expansion("+lr=1,2", "seed=0,1", "steps=3,4", linked=("lr,steps",)))
    assert found == [
        ["+lr=1", "steps=3", "seed=0"],
        ["+lr=1", "steps=3", "seed=1"],
        ["+lr=2", "steps=4", "seed=0"],
        ["+lr=2", "steps=4", "seed=1"],
    ]


@pytest.mark.parametrize(
    ("words", "linked", "expected"),
    [
        (("lr=1,2,3", "model=mlp,dcgan", "seed=range(0,2)"), (), "12 runs: 3 lr x 2 model x 2 seeds"),
        (("lr=1,2", "steps=3,4", "seed=0,1"), ("lr,steps",), "4 runs: 2 lr+steps x 2 seeds"),
        (("seed=0,1,2",), (), "3 runs: 3 seeds"),
        (("lr=1", "seed=3"), (), "1 run"),
    ],
)
def test_seeds_are_told_apart(words: tuple[str, ...], linked: tuple[str, ...], expected: str) -> None:
    assert size(expansion(*words, linked=linked)) == expected


@pytest.mark.parametrize(
    ("words", "linked", "sentence"),
    [
        (("seed=range(0,0)",), (), "seed=range(0,0): is empty"),
        (("seed=range(3,0)",), (), "seed=range(3,0): is empty"),
        (("lr=interval(0,1)",), (), "lr=interval(0,1): names no single values; "),
        (("seed=range(1000000000)",), (), "seed=range(1000000000): has more than 100,000 values"),
        (("seed=range(1000)", "steps=range(1,1000)"), (), "that makes 999,000 runs; a sweep has at most 100,000"),
        (("lr=1,2", "steps=1,2,3"), ("lr,steps",), "--zip lr,steps: lr has 2, steps has 3 values; "),
        (("lr=1,2",), ("lr,steps",), "--zip lr,steps: steps has no values here; give them, as in steps=1,2"),
    ],
)
def test_refusals(words: tuple[str, ...], linked: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        jobs_of(expansion(*words, linked=linked))
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_a_large_range_is_counted_without_being_made() -> None:
    with pytest.raises(UserError):
        jobs_of(expansion("seed=range(100000000000)"))


def test_the_keys_that_are_the_same_in_all_runs() -> None:
    """One that an older part of the sweep lacks differs."""
    assert _constants([["lr=1", "steps=2"], ["lr=2", "steps=2"]]) == {"steps"}
    assert _constants([["lr=1"], ["lr=1", "seed=1"]]) == {"lr"}
    assert _constants([["lr=1", "seed=1"]]) == {"lr", "seed"} and _constants([]) == set()


def test_choices() -> None:
    assert choices() == Choices()
    assert choices("2", "stop", ["lr,steps"]) == Choices(2, True, (("lr", "steps"),))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("0", None, ()), "--jobs 0: must be a whole number of at least 1"),
        (("two", None, ()), "--jobs two: "),
        ((None, "retry", ()), "--on-failure retry: must be continue or stop"),
        ((None, None, ("lr",)), "--zip lr: must name at least two keys"),
        ((None, None, ("lr,lr",)), "--zip lr,lr: "),
        ((None, None, ("lr,",)), "--zip lr,: "),
    ],
)
def test_bad_choices(given: tuple[str | None, str | None, tuple[str, ...]], sentence: str) -> None:
    with pytest.raises(UserError, match="^" + sentence.replace("(", r"\(")):
        choices(*given)
