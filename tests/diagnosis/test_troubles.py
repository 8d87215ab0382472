"""Each trouble in a history that is made to show it, and not in similar ones."""

from typing import Any

import pytest

from gan_exp.diagnosis.settings import RunSettings
from gan_exp.diagnosis.verdicts import diagnose
from stories import Value, story

SETTINGS = RunSettings()
SURE: dict[str, Value] = {"accuracy__real": 0.99, "accuracy__fake": 0.99}
SLOWING: dict[str, Value] = {"samples__change": 0.3}
STUCK, COLLAPSE, SWINGS, WINS = "generator not learning", "generator collapse", "oscillation", "discriminator wins"
IDLE = "discriminator not learning"
AT_CHANCE: dict[str, Value] = {"accuracy__real": 0.51, "accuracy__fake": 0.51}


def gravest(count: int = 12, **changes: Value) -> tuple[str, str]:
    """The first verdict and its evidence."""
    verdict = diagnose(SETTINGS, story(count, **changes))[0]
    return verdict.name, verdict.evidence


def named(changes: dict[str, Any], count: int = 12) -> str:
    return gravest(count, **changes)[0]


def falling(k: int) -> float:
    return 0.9 if k < 4 else 0.2


def to_and_fro(low: float, high: float) -> Value:
    return lambda k: high if k % 2 else low


@pytest.mark.parametrize(
    ("changes", "verdict", "message"),
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
        ({"samples__spread": falling, **SLOWING}, COLLAPSE, "differ from one another 20% as much"),
        # though it doesn't change any more
        ({"samples__spread": lambda k: 0.3 if k > 1 else 0.9, "samples__change": 0.1}, COLLAPSE, "another 30% as much"),
        ({"samples__classes": 0.1, **SLOWING}, COLLAPSE, "cover 10% of the data's classes"),
        (
            {"samples__spread": falling, "evaluation__recall_cnn": 0.07, "evaluation__coverage_cnn": 0.2, **SLOWING},
            COLLAPSE,
            "found 7% of the data covered",
        ),
        ({"samples__change": 0.9, "samples__distance": to_and_fro(0.3, 0.5)}, SWINGS, "move by 0.90 to 0.90 spreads"),
        (
            {"samples__change": 0.9, "samples__distance": to_and_fro(0.3, 0.5), "samples__classes": 0.2, **SURE},
            SWINGS,
            "go from 0.30 to 0.50 spreads from the data and back",
        ),
        ({"samples__distance": 0.6, "samples__change": 0.3, **SURE}, WINS, "right on 99.0% of the reals and 99.0% of"),
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
        (
            {
                "samples__distance": 0.9,
                "samples__change": 0.0,
                "gradient_norm__generator": lambda k: 0.1 if k < 5 else 0.0,
                **SURE,
            },
            WINS,
            "shrunk to 0 of",
        ),
        (
            {"samples__distance": 0.9, "samples__change": 0.4, "accuracy__real": 0.55, "accuracy__fake": 0.0},
            IDLE,
            "D is right on 55% of the reals and 0% of the fakes, though samples are 0.90 spreads from the data",
        ),
        # G has found images that fool a D that doesn't change, and doesn't change either; or repeats the same images
        ({"samples__distance": 0.9, "samples__change": 0.1, **AT_CHANCE}, IDLE, "51% of the fakes, though"),
        ({"samples__distance": 0.9, "samples__duplicates": 0.9, **AT_CHANCE}, IDLE, "51% of the fakes, though"),
        # D learns so slowly that samples come nearer, but hardly
        ({"samples__distance": lambda k: 1 - 0.02 * k, "accuracy__real": 0.98, "accuracy__fake": 0.0}, IDLE, "0% of"),
        # near to the data in averaged pixels, but made of dots
        ({"samples__duplicates": 0.9, "samples__texture": 1.7, **AT_CHANCE}, COLLAPSE, "90% of the samples"),
        ({"samples__texture": 1.7, **AT_CHANCE}, IDLE, "though structure of some size is 1.7 octaves off"),
        ({"discriminator__overfitting": 0.95}, "memorising", "above an unseen one 95% of the time"),
        ({"discriminator__overfitting": lambda k: 0.5 if k < 6 else 0.85}, "memorising", "one 85% of the time"),
        (
            {"discriminator__overfitting": 0.75, **SURE},
            "memorising",
            "D is right on 99% of the reals and 99% of the fakes, and scores a training image above an unseen one 75%",
        ),
        ({"samples__copies": 0.8}, "memorising", "80% of the samples are half as far"),
        ({"evaluation__nearer_cnn": 0.5}, "memorising", "50% of the samples are nearer"),
        ({"evaluation__logit_overfitting": 0.9}, "memorising", "an unseen one 90% of the time"),
    ],
)
def test_each_trouble_is_found(changes: dict[str, Any], verdict: str, message: str) -> None:
    name, evidence = gravest(**changes)
    assert name == verdict and message in evidence


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_norm__generator": 90.0},
        # a slow G whose samples get nearer all the same
        {"samples__distance": lambda k: 0.9 - 0.02 * k, "samples__change": 0.1},
        # samples that don't change, near the data
        {"samples__distance": 0.1, "samples__change": 0.02},
        # D is sure, and samples are good
        {"samples__distance": lambda k: 0.9 * 0.9**k, "samples__change": 0.4, **SURE},
        {"samples__distance": 0.3, **SURE},
        # the first images of a DCGAN are all the same, and then less and less so
        {"samples__spread": lambda k: 0.05 + 0.04 * k, "samples__duplicates": lambda k: 1 - 0.03 * k},
        {"samples__duplicates": lambda k: 1.15 - 0.08 * k},
        # samples move about, but near the data, or nearer and nearer
        {"samples__change": 0.9, "samples__distance": to_and_fro(0.1, 0.2)},
        {"samples__change": 0.9, "samples__distance": lambda k: 0.9 * 0.9**k},
        # D at chance: samples are good, or get clearly better
        AT_CHANCE,
        {"samples__distance": lambda k: 0.9 * 0.9**k, **AT_CHANCE},
        {"samples__texture": lambda k: 3.0 * 0.9**k, **AT_CHANCE},
        # with small logits only their differences count for the hinge loss: all may lie on one side of the boundary
        {"samples__distance": lambda k: 0.9 * 0.9**k, "accuracy__real": 1.0, "accuracy__fake": 0.0},
        {"discriminator__overfitting": 0.7, "samples__copies": 0.3, "evaluation__nearer_cnn": 0.05},
        {"discriminator__overfitting": 0.65, **SURE},
        # two grids of five, as happens where few images are held out
        {"discriminator__overfitting": lambda k: 0.95 if k > 9 else 0.55, **SURE},
        {"discriminator__overfitting": lambda k: 0.5 if k else 1.0, **SURE},
    ],
)
def test_healthy_runs_that_look_alike(changes: dict[str, Any]) -> None:
    assert named(changes) == "healthy"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        # samples stand still, far away, where they have got to since
        ({"samples__distance": lambda k: 0.9 if k < 3 else 0.5, "samples__change": 0.1}, "0.50 spreads from the data"),
        # D was sure, until a while ago
        (
            {"samples__distance": 0.9, "samples__change": 0.4, "accuracy__fake": lambda k: 0.99 if k < 10 else 0.6},
            "samples are 0.90 spreads from the data (good: up to 0.35)",
        ),
        # more varied than the data is no better
        ({"samples__spread": lambda k: 1 + 0.1 * k, "samples__duplicates": 0.2}, "samples are 210% as varied"),
        # D is sure, and samples get better, but aren't good yet
        ({"samples__distance": lambda k: 0.9 if k < 9 else 0.6, "samples__change": 0.4, **SURE}, "0.60 spreads"),
        # samples move about, and are as bad at each grid
        ({"samples__change": 0.9, "samples__distance": 0.9}, "0.90 spreads"),
        # a quiet run whose samples get worse and better
        ({"samples__change": 0.4, "samples__distance": to_and_fro(0.4, 0.5)}, "0.50 spreads"),
        # near to the data, and as varied, but made of dots
        ({"samples__texture": 1.6}, "1.6 octaves off"),
        ({"samples__variety": 0.12}, "at 12% of as many training images"),
        ({"samples__classes": lambda k: 0.5 if k < 10 else 0.3}, "30% of the classes"),
        ({"accuracy__real": 0.3, "accuracy__fake": 0.3}, "30% of the fakes, less often than by chance"),
        ({"gradient_norm__generator": 320.0}, "the generator's gradients have a norm of 320 (good: up to 100)"),
        ({"gradient_norm__discriminator": 106.0}, "the discriminator's gradients have a norm of 106"),
    ],
)
def test_neither_trouble_nor_health_is_unclear(changes: dict[str, Any], missing: str) -> None:
    verdict, found = gravest(**changes)
    assert verdict == "unclear" and missing in found


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        # figures of runs of the default networks with a learning rate of 1e-12 for G, or 1e-8 for D
        ({"samples__distance": 0.94, "samples__change": 0.15, "accuracy__real": 1.0, "accuracy__fake": 1.0}, STUCK),
        ({"samples__distance": 1.12, "samples__change": 0.8, "accuracy__real": 0.56, "accuracy__fake": 0.0}, IDLE),
        ({"samples__distance": 0.6, "samples__change": 0.4, **SURE}, WINS),
        ({"samples__duplicates": 0.9}, COLLAPSE),
        ({"samples__variety": 0.02, "samples__texture": 3.4}, COLLAPSE),
        ({"samples__distance": 0.94, "samples__change": 0.8}, "unclear"),
        ({}, "healthy"),
    ],
)
@pytest.mark.parametrize("grids", [3, 4])
def test_few_grids_are_enough_at_the_default_intervals(changes: dict[str, Any], verdict: str, grids: int) -> None:
    """Of 1,000 and 1,500 steps, with a mean logged each 100 steps and a grid each 500."""
    found = diagnose(SETTINGS, story(grids, every=500, logs=5, **changes))
    assert found[0].name == verdict


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
def test_a_run_stalls_when_nothing_gets_better(changes: dict[str, Any], count: int, verdict: str) -> None:
    assert named(changes, count) == verdict


@pytest.mark.parametrize("absent", [(), ("samples/classes",), ("samples/texture",), ("samples/duplicates",)])
def test_missing_measures_are_ignored(absent: tuple[str, ...]) -> None:
    """Data without labels has no classes, a run of an older version no texture, one of few images no duplicates."""
    records = [{tag: value for tag, value in one.items() if tag not in absent} for one in story(20)]
    assert [verdict.name for verdict in diagnose(SETTINGS, records)] == ["healthy"]


def test_a_sure_discriminator_is_not_reported_beside_a_generator_that_does_not_learn() -> None:
    stuck = diagnose(SETTINGS, story(12, samples__distance=0.9, samples__change=0.1, **SURE))
    assert [verdict.name for verdict in stuck] == [STUCK]


def test_a_slow_generator_against_a_sure_discriminator_has_not_lost() -> None:
    slow: dict[str, Value] = {"samples__distance": lambda k: 2 * 0.935**k, "samples__change": 0.4}
    assert named({**slow, **SURE}, 24) == "unclear"
    assert named(slow, 24) == "healthy"


def test_scores_without_any_grid_are_too_early() -> None:
    """A run of an older version, which kept no evidence from its samples, evaluated by this one."""
    logs = [{"step": step, "loss/generator": 1.0, "accuracy/real": 0.5} for step in range(100, 1100, 100)]
    assert diagnose(SETTINGS, [*logs, {"step": 1000, "evaluation/fid_cnn": 1.0}])[0].name == "too early to say"
