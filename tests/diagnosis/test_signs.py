"""Each sign on a history made to show it, and on its neighbours that must not."""

from typing import Any

import pytest

from gan_exp.diagnosis.doctor import diagnose
from gan_exp.diagnosis.facts import Facts
from stories import Value, story

FACTS = Facts()
SURE: dict[str, Value] = {"accuracy__real": 0.99, "accuracy__fake": 0.99}
STUCK, COLLAPSE, SWINGS, WINS = "generator not learning", "generator collapse", "oscillation", "discriminator wins"


def gravest(count: int = 12, **changes: Value) -> tuple[str, str]:
    """The first verdict and its evidence."""
    verdict = diagnose(FACTS, story(count, **changes))[0]
    return verdict.name, verdict.evidence


def named(changes: dict[str, Any], count: int = 12) -> str:
    return gravest(count, **changes)[0]


@pytest.mark.parametrize(
    ("changes", "verdict", "told"),
    [
        ({"gradient_norm__generator": 2e3}, "diverged", "the generator's gradients have a norm of 2e+03"),
        ({"gradient_norm__discriminator": 5e6}, "diverged", "the discriminator's gradients"),
        ({"samples__distance": 0.9, "samples__change": 0.1}, STUCK, "0.90 spreads from the data for 4 grids"),
        ({"samples__distance": 0.9, "samples__change": 0.1, **SURE}, STUCK, "move by 0.10"),
        ({"samples__duplicates": 0.9}, COLLAPSE, "90% of the samples have a near-duplicate"),
        ({"samples__spread": 0.2}, COLLAPSE, "differ from one another by 20%"),
        ({"samples__classes": 0.1}, COLLAPSE, "fall to 10% of the data's classes"),
        (
            {"samples__spread": 0.2, "evaluation__recall_cnn": 0.07, "evaluation__coverage_cnn": 0.2},
            COLLAPSE,
            "of the data 7% is covered",
        ),
        ({"samples__change": 0.9, "samples__distance": 0.3}, SWINGS, "move by 0.90 to 0.90 spreads"),
        ({"samples__change": 0.9, "samples__distance": 0.3, **SURE}, SWINGS, "no nearer to the data than 0.30"),
        ({"samples__distance": 0.6, "samples__change": 0.2, **SURE}, WINS, "right on 99.0% of the reals and 99.0% of"),
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
        {"samples__distance": lambda k: 0.9 - 0.05 * k, "samples__change": 0.1},
        # what stands still, near the data
        {"samples__distance": 0.1, "samples__change": 0.02},
        # D is sure, and samples get better or are good
        {"samples__distance": lambda k: 0.9 * 0.8**k, "samples__change": 0.4, **SURE},
        {"samples__distance": 0.15, **SURE},
        # the first images of a DCGAN are all the same, and then less and less so
        {"samples__spread": lambda k: 0.05 + 0.05 * k, "samples__duplicates": lambda k: 1 - 0.08 * k},
        # samples move about, but near the data, or nearer and nearer
        {"samples__change": 0.5, "samples__distance": 0.05},
        {"samples__change": 0.5, "samples__distance": lambda k: 0.9 * 0.8**k},
        {"discriminator__overfitting": 0.7, "samples__copies": 0.3, "evaluation__nearer_cnn": 0.05},
    ],
)
def test_what_looks_alike_is_not(changes: dict[str, Any]) -> None:
    assert named(changes) == "healthy"


@pytest.mark.parametrize(
    ("changes", "count", "verdict"),
    [
        ({"samples__distance": lambda k: max(0.5 / (k + 1), 0.1)}, 40, "stalled"),
        ({"samples__distance": lambda k: max(0.5 / (k + 1), 0.1)}, 15, "healthy"),  # too few grids to say
        ({"samples__distance": lambda k: 0.5 / (k + 1)}, 40, "healthy"),
        ({"samples__distance": 0.1, "samples__variety": lambda k: 0.3 + 0.01 * k}, 40, "healthy"),
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


def test_an_older_run_is_judged_by_its_accuracies() -> None:
    def logs(right: float) -> list[dict[str, float]]:
        return [one for one in story(12, accuracy__real=right, accuracy__fake=right) if "loss/generator" in one]

    assert [verdict.name for verdict in diagnose(FACTS, logs(0.98))] == ["healthy"]
    (verdict,) = diagnose(FACTS, logs(0.999))
    assert verdict.name == WINS and "spreads" not in verdict.evidence
