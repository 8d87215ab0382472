"""Each sign on a history made to show it, and on its neighbours that must not."""

from typing import Any

import pytest

from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.verdicts import diagnose
from stories import Value, story

FACTS = Facts()
SURE: dict[str, Value] = {"accuracy__real": 0.99, "accuracy__fake": 0.99}
SLOWING: dict[str, Value] = {"samples__change": 0.3}
STUCK, COLLAPSE, SWINGS, WINS = "generator not learning", "generator collapse", "oscillation", "discriminator wins"


def gravest(count: int = 12, **changes: Value) -> tuple[str, str]:
    """The first verdict and its evidence."""
    verdict = diagnose(FACTS, story(count, **changes))[0]
    return verdict.name, verdict.evidence


def named(changes: dict[str, Any], count: int = 12) -> str:
    return gravest(count, **changes)[0]


def falling(k: int) -> float:
    return 0.9 if k < 4 else 0.2


def to_and_fro(low: float, high: float) -> Value:
    return lambda k: high if k % 2 else low


@pytest.mark.parametrize(
    ("changes", "verdict", "told"),
    [
        ({"gradient_norm__generator": 2e5}, "diverged", "the generator's gradients have a norm of 2e+05"),
        ({"gradient_norm__discriminator": 5e6}, "diverged", "the discriminator's gradients"),
        (
            {"samples__distance": 0.9, "samples__change": 0.1},
            STUCK,
            "move by 0.10 spreads from grid to grid; they are 0.90 spreads from the data (at first 0.90), and 90% as",
        ),
        ({"samples__distance": 0.9, "samples__change": 0.1, **SURE}, STUCK, "move by 0.10"),
        # the first grid, of BatchNorm's first averages, was another
        ({"samples__distance": lambda k: 0.5 if k else 0.9, "samples__change": 0.1}, STUCK, "(at first 0.50)"),
        ({"samples__spread": lambda k: 0.35 if k else 0.05, "samples__change": 0.1}, STUCK, "(at first 35%)"),
        # all alike from the start, however near to the data they lie
        ({"samples__distance": 0.03, "samples__spread": 0.1, "samples__change": 0.0}, STUCK, "and 10% as varied"),
        ({"samples__duplicates": 0.9, **SLOWING}, COLLAPSE, "90% of the samples have a near-duplicate"),
        ({"samples__spread": falling, **SLOWING}, COLLAPSE, "differ from one another by 20%"),
        # though it stands still by now
        ({"samples__spread": lambda k: 0.3 if k > 1 else 0.9, "samples__change": 0.1}, COLLAPSE, "another by 30%"),
        ({"samples__classes": 0.1, **SLOWING}, COLLAPSE, "fall to 10% of the data's classes"),
        (
            {"samples__spread": falling, "evaluation__recall_cnn": 0.07, "evaluation__coverage_cnn": 0.2, **SLOWING},
            COLLAPSE,
            "of the data 7% is covered",
        ),
        ({"samples__change": 0.9, "samples__distance": to_and_fro(0.3, 0.5)}, SWINGS, "move by 0.90 to 0.90 spreads"),
        (
            {"samples__change": 0.9, "samples__distance": to_and_fro(0.3, 0.5), "samples__classes": 0.2, **SURE},
            SWINGS,
            "go from 0.30 to 0.50 spreads from the data and back",
        ),
        ({"samples__distance": 0.6, "samples__change": 0.2, **SURE}, WINS, "right on 99.0% of the reals and 99.0% of"),
        (
            {"samples__distance": 0.6, **SURE, "accuracy__fake": lambda k: 0.6 if k < 6 else 0.99, **SLOWING},
            WINS,
            "99.0% of the fakes, and samples stay 0.60 spreads",
        ),
        (
            {
                "samples__distance": 0.9,
                "samples__change": 0.1,
                "gradient_norm__generator": lambda k: 10.0 ** (-k),
                **SURE,
            },
            WINS,
            "G's gradients have shrunk to 1e-10",
        ),
        ({"discriminator__overfitting": 0.95}, "memorising", "above an unseen one 95% of the time"),
        ({"samples__copies": 0.8}, "memorising", "80% of the samples are half as far"),
        ({"evaluation__nearer_cnn": 0.5}, "memorising", "50% of the samples are nearer"),
        ({"evaluation__logit_overfitting": 0.9}, "memorising", "an unseen one 90% of the time"),
    ],
)
def test_what_is_shown_is_told(changes: dict[str, Any], verdict: str, told: str) -> None:
    name, evidence = gravest(**changes)
    assert name == verdict and told in evidence


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_norm__generator": 900.0},
        # a slow G whose samples get nearer all the same
        {"samples__distance": lambda k: 0.9 - 0.02 * k, "samples__change": 0.1},
        # what stands still, near the data
        {"samples__distance": 0.1, "samples__change": 0.02},
        # or where it has got to since
        {"samples__distance": lambda k: 0.9 if k < 3 else 0.5, "samples__change": 0.1},
        # D is sure, and samples get better, at last or in the long run, or are good
        {"samples__distance": lambda k: 0.9 * 0.9**k, "samples__change": 0.4, **SURE},
        {"samples__distance": lambda k: 0.9 if k < 9 else 0.6, "samples__change": 0.4, **SURE},
        {"samples__distance": 0.3, **SURE},
        # D was sure, until a while ago
        {"samples__distance": 0.9, "samples__change": 0.4, "accuracy__fake": lambda k: 0.99 if k < 10 else 0.6},
        # the first images of a DCGAN are all the same, and then less and less so
        {"samples__spread": lambda k: 0.05 + 0.04 * k, "samples__duplicates": lambda k: 1 - 0.03 * k},
        {"samples__duplicates": lambda k: 1.15 - 0.08 * k},
        # more varied than the data is no better
        {"samples__spread": lambda k: 1 + 0.1 * k, "samples__duplicates": 0.2},
        # samples move about, but near the data, or nearer and nearer, or are as good at each grid
        {"samples__change": 0.9, "samples__distance": to_and_fro(0.1, 0.2)},
        {"samples__change": 0.9, "samples__distance": lambda k: 0.9 * 0.9**k},
        {"samples__change": 0.9, "samples__distance": 0.9},
        # a quiet game whose samples get worse and better
        {"samples__change": 0.4, "samples__distance": to_and_fro(0.3, 0.5)},
        {"discriminator__overfitting": 0.7, "samples__copies": 0.3, "evaluation__nearer_cnn": 0.05},
    ],
)
def test_what_looks_alike_is_not(changes: dict[str, Any]) -> None:
    assert named(changes) == "healthy"


def test_more_varied_than_the_data_is_no_way_out_of_a_collapse() -> None:
    assert named({"samples__spread": lambda k: 1 + 0.1 * k, "samples__duplicates": 0.6, **SLOWING}) == COLLAPSE


@pytest.mark.parametrize(
    ("changes", "count", "verdict"),
    [
        ({"samples__distance": lambda k: max(0.5 / (k + 1), 0.1)}, 40, "stalled"),
        ({"samples__distance": lambda k: max(0.5 / (k + 1), 0.1)}, 29, "healthy"),  # too few grids to say
        ({"samples__distance": lambda k: 0.5 / (k + 1)}, 40, "healthy"),
        ({"samples__distance": 0.1, "samples__variety": lambda k: 0.3 + 0.01 * k}, 40, "healthy"),
        ({"samples__distance": 0.1, "samples__spread": lambda k: 1 + 0.02 * k}, 40, "stalled"),  # no gain
    ],
)
def test_a_game_stalls_when_nothing_gets_better(changes: dict[str, Any], count: int, verdict: str) -> None:
    assert named(changes, count) == verdict


@pytest.mark.parametrize("classes", [True, False])
def test_data_without_labels_has_no_classes_to_look_at(classes: bool) -> None:
    records = list(story(20))
    if not classes:
        records = [{tag: value for tag, value in one.items() if tag != "samples/classes"} for one in records]
    assert [verdict.name for verdict in diagnose(FACTS, records)] == ["healthy"]


def test_a_sure_discriminator_need_not_be_told_of_where_the_generator_does_not_play() -> None:
    stuck = diagnose(FACTS, story(12, samples__distance=0.9, samples__change=0.1, **SURE))
    assert [verdict.name for verdict in stuck] == [STUCK]


def test_a_slow_generator_against_a_sure_discriminator_is_healthy_in_the_long_run() -> None:
    assert named({"samples__distance": lambda k: 2 * 0.935**k, "samples__change": 0.4, **SURE}, 24) == "healthy"
