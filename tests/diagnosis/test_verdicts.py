"""When a verdict is told, kept and taken back; and that nothing but the records decides."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.signs import DIVERGING, SIGNS
from gan_exp.diagnosis.verdicts import Doctor, diagnose, diverged
from stories import HEALTHY, story

FACTS = Facts()
COLLAPSE = "generator collapse"


def told(doctor: Doctor) -> list[str]:
    return [verdict.name for verdict in doctor.verdicts]


def follow(records: Any, facts: Facts = FACTS) -> list[tuple[int, list[str]]]:
    """The steps at which other verdicts were told, and which."""
    doctor = Doctor(facts)
    return [(record["step"], told(doctor)) for record in records if doctor.add(record)]


def test_a_healthy_game_is_called_so_once() -> None:
    assert follow(story()) == [(500, ["healthy"])]


def test_nothing_is_said_too_early() -> None:
    """The first signs are kept in mind, but count from step 500 on."""
    assert follow(story(40, every=10)) == []  # grids, but no steps
    assert follow(story(1, every=1000)) == []
    assert follow(story(2, every=1000)) == [(1000, ["healthy"])]  # a grid that shows it is enough
    for records, missing in (
        ([], "it takes 500 more steps and a grid of samples after step 0 (sample_every_steps)"),
        (story(3, every=100), "it takes 300 more steps"),
        (story(6, samples__copies=0.9), "it takes another grid that shows what one has shown: memorising"),
    ):
        (verdict,) = diagnose(FACTS, records)
        assert verdict.line().startswith(f"too early to say: {missing}") and verdict.since == 0
    found = list(story(80, every=10, samples__copies=0.9))
    assert follow(found) == [(510, ["memorising"])]
    assert diagnose(FACTS, found)[0].since == 0


def test_a_healthy_generator_may_begin_with_images_that_are_all_alike() -> None:
    """So that only a collapse that lasts is told; it began where it began."""
    assert follow(story(12, samples__duplicates=lambda k: 0.9 if k < 9 else 0.0)) == [(900, ["healthy"])]
    found = list(story(12, samples__duplicates=0.9))
    assert follow(found) == [(1000, [COLLAPSE])]
    assert diagnose(FACTS, found)[0].since == 300  # the fourth grid


def test_a_sign_is_told_when_it_lasts_and_taken_back_when_it_is_gone() -> None:
    """Copies at grids 5, 8 to 11, 13, 16 and on: what lasts one grid only changes nothing."""
    copies = {5, 8, 9, 10, 11, 13, *range(16, 20)}
    records = list(story(20, samples__copies=lambda k: 0.9 if k in copies else 0.0))
    assert follow(records) == [(600, ["healthy"]), (900, ["memorising"]), (1500, ["healthy"]), (1700, ["memorising"])]
    assert diagnose(FACTS, records)[0].since == 1600


def test_a_verdict_tells_when_it_began_and_what_is_seen_now() -> None:
    (verdict,) = diagnose(FACTS, story(12, samples__duplicates=lambda k: 0.9 + 0.01 * (k == 11) if k >= 6 else 0.0))
    assert (verdict.name, verdict.since) == (COLLAPSE, 700)
    assert "91%" in verdict.evidence and verdict.meaning and verdict.remedies
    assert verdict.line().startswith("generator collapse since step 700: ") and "; try loss=rpgan" in verdict.line()


def test_the_gravest_comes_first() -> None:
    both = diagnose(FACTS, story(12, samples__duplicates=0.9, gradient_norm__generator=1e6))
    assert [verdict.name for verdict in both] == ["diverged", COLLAPSE]


def test_without_a_logged_mean_nothing_is_said_of_the_discriminator() -> None:
    """Not that it is right on 0 %, either."""
    (verdict,) = diagnose(FACTS, [record for record in story(9) if "samples/spread" in record])
    assert verdict.name == "unclear" and verdict.evidence == "nothing of D has been logged yet (log_every_steps)"
    records = [record for record in story(9, samples__copies=0.9) if "samples/spread" in record]
    assert [verdict.name for verdict in diagnose(FACTS, records)] == ["memorising"]


def test_without_evidence_from_samples_nothing_is_said() -> None:
    (verdict,) = diagnose(FACTS, [record for record in story(30) if "loss/generator" in record])
    assert verdict.line() == "too early to say: it takes a grid of samples after step 0 (sample_every_steps)"


def test_an_evaluation_need_not_be_seen_twice() -> None:
    records = [*story(10), {"step": 900, "evaluation/nearer_cnn": 0.9}]
    assert [verdict.name for verdict in diagnose(FACTS, records)] == ["memorising"]


def test_a_run_that_ended_by_its_divergence() -> None:
    sentence = (
        "step 37: loss/generator is nan; generator.0.weight holds such values: the game has diverged (last good "
        "checkpoint: step 0). Likely cause: no; try nothing"
    )
    verdict = diverged(sentence, Facts(generator_lr=0.5, discriminator_lr=0.5), {})
    assert (verdict.name, verdict.since) == ("diverged", 37)
    assert verdict.evidence == "loss/generator is nan; generator.0.weight holds such values"
    assert verdict.remedies == ("lr=0.0002",) and verdict.meaning == DIVERGING.meaning
    assert diverged("something else", FACTS, {}).since == 0


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_whatever_happens_it_is_told_in_order_and_follows_from_the_records_alone(seed: int) -> None:
    """Random histories: no crash, names in the order of gravity, healthy alone, nothing dropped or told out of time."""
    draw = random.Random(seed)
    tags = {tag: draw.choice([0.0, 0.5, 1.0, 3.0, 1e4]) for tag in HEALTHY}
    records = list(story(15, **{tag.replace("/", "__"): lambda k, v=v: v * draw.random() for tag, v in tags.items()}))
    doctor, order = Doctor(FACTS), [sign.name for sign in SIGNS]
    for number, record in enumerate(records):
        doctor.add(record)
        names = told(doctor)
        assert names in (["healthy"], ["unclear"], ["too early to say"]) or names == sorted(set(names), key=order.index)
        assert all(0 <= verdict.since <= record["step"] and verdict.meaning for verdict in doctor.verdicts)
        if number in (5, 20):  # as a run that goes on does
            assert Doctor(FACTS).follow(records[: number + 1]).verdicts == doctor.verdicts
    assert diagnose(FACTS, records) == doctor.verdicts


@pytest.mark.parametrize(
    "loss", ["NonSaturating", "Minimax", "Hinge", "LeastSquares", "Wasserstein", "RelativisticPairing"]
)
def test_what_losses_mean_decides_nothing(loss: str) -> None:
    """A critic's losses may be -300 and 250 in a healthy game."""
    for scale in (1.0, -300.0, 250.0):
        found = follow(story(loss__generator=scale, loss__discriminator=-scale), Facts(loss=loss, clip=0.01))
        assert found == [(500, ["healthy"])]


def test_a_learning_rate_far_too_high_is_not_healthy_however_good_the_samples() -> None:
    for facts, network in ((Facts(generator_lr=0.02), "generator"), (Facts(discriminator_lr=0.02), "discriminator")):
        (verdict,) = diagnose(facts, story())
        told = f"optimizer.{network}.lr=0.02 is far above what GANs train with (up to 0.001)"
        assert (verdict.name, verdict.evidence) == ("unclear", told)
        assert verdict.remedies == (f"optimizer.{network}.lr=0.0002",)
    for usual in (
        Facts(generator_lr=5e-3),
        Facts(generator_lr=0.02, discriminator_lr=0.02, usual_lr=0.02, betas=False),
    ):
        assert [one.name for one in diagnose(usual, story())] == ["healthy"]


def test_a_critic_that_nothing_bounds_is_not_healthy_however_good_the_samples() -> None:
    (verdict,) = diagnose(Facts(loss="Wasserstein"), story())
    assert verdict.name == "unclear" and "nothing bounds the critic" in verdict.evidence
    assert verdict.remedies == ("penalty=wgan_gp loss.clip=null",)
    for bounded in (Facts(loss="Wasserstein", penalty="R1"), Facts(loss="Wasserstein", spectral_norm=True)):
        assert [one.name for one in diagnose(bounded, story())] == ["healthy"]
