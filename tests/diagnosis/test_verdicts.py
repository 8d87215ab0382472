"""When a verdict is reported, kept and withdrawn; it depends on the records alone."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import make_config
from gan_exp.diagnosis.divergence import likely_cause
from gan_exp.diagnosis.settings import RunSettings, settings_of
from gan_exp.diagnosis.troubles import DIVERGING, TROUBLES
from gan_exp.diagnosis.verdicts import Doctor, diagnose, diverged
from stories import HEALTHY, story

SETTINGS = RunSettings()
COLLAPSE = "generator collapse"


def names_of(doctor: Doctor) -> list[str]:
    return [verdict.name for verdict in doctor.verdicts]


def follow(records: Any, run_settings: RunSettings = SETTINGS) -> list[tuple[int, list[str]]]:
    """The steps at which the verdicts changed, and their names."""
    doctor = Doctor(run_settings)
    return [(record["step"], names_of(doctor)) for record in records if doctor.add(record)]


def test_a_healthy_run_is_reported_once() -> None:
    assert follow(story()) == [(500, ["healthy"])]


def test_nothing_is_said_too_early() -> None:
    """Early findings are kept, but count from step 500 on."""
    assert follow(story(40, every=10)) == []  # grids, but no steps
    assert follow(story(1, every=1000)) == []
    assert follow(story(2, every=1000)) == [(1000, ["healthy"])]  # a grid that shows it is enough
    for records, missing in (
        ([], "a verdict needs 500 more steps and a grid of samples after step 0 (sample_every_steps)"),
        (story(3, every=100), "a verdict needs 300 more steps"),
        (story(6, samples__copies=0.9), "a verdict needs a second grid that shows the same trouble: memorising"),
    ):
        (verdict,) = diagnose(SETTINGS, records)
        assert verdict.line().startswith(f"too early to say: {missing}") and verdict.since == 0
    found = list(story(80, every=10, samples__copies=0.9))
    assert follow(found) == [(510, ["memorising"])]
    assert diagnose(SETTINGS, found)[0].since == 0


def test_a_healthy_generator_may_begin_with_images_that_are_all_alike() -> None:
    """So only a collapse that lasts is reported, with the step at which it began."""
    assert follow(story(12, samples__duplicates=lambda k: 0.9 if k < 9 else 0.0)) == [(900, ["healthy"])]
    found = list(story(12, samples__duplicates=0.9))
    assert follow(found) == [(1000, [COLLAPSE])]
    assert diagnose(SETTINGS, found)[0].since == 300  # the fourth grid


def test_a_trouble_is_reported_when_it_lasts_and_withdrawn_when_it_is_gone() -> None:
    """Copies at grids 5, 8 to 11, 13, 16 and on: a single grid changes nothing."""
    copies = {5, 8, 9, 10, 11, 13, *range(16, 20)}
    records = list(story(20, samples__copies=lambda k: 0.9 if k in copies else 0.0))
    assert follow(records) == [(600, ["healthy"]), (900, ["memorising"]), (1500, ["healthy"]), (1700, ["memorising"])]
    assert diagnose(SETTINGS, records)[0].since == 1600


def test_noise_of_few_held_out_images_gives_no_verdict_and_withdraws_none() -> None:
    """As recorded with four of them every 250 steps: D gets surer, and was called memorising three times on the way."""
    ranked = [0.4, 0.58, 0.52, 0.43, 0.47, 0.43, 0.7, 0.3, 0.45, 0.46, 0.83, 0.57, 0.63, 0.59, 0.39, 0.67, 0.64, 0.59]
    ranked += [0.6, 0.74, 0.77, 0.63, 0.72, 0.73, 0.56, 0.59, 0.61, 0.76, 0.88, 0.78, 0.77, 0.66, 0.75, 0.81, 0.82]
    right = {f"accuracy__{kind}": lambda k: min(0.7 + 0.02 * k, 1.0) for kind in ("real", "fake")}
    better = {"samples__variety": lambda k: 0.5 + 0.01 * k}  # so that it hasn't stalled
    records = list(story(len(ranked), 250, discriminator__overfitting=lambda k: ranked[k], **right, **better))
    assert follow(records) == [(500, ["healthy"]), (5500, ["memorising"])]
    (verdict,) = diagnose(SETTINGS, records)
    assert verdict.evidence.startswith("D is right on 100% of the reals and 100% of the fakes, and scores a training")


def test_of_few_unseen_images_an_evaluation_tells_nothing() -> None:
    """The nearest of four lies beyond a fifth of samples that copy nothing more often than not."""
    for unseen, name in ((4, "healthy"), (20, "memorising")):
        scores = {"evaluation/nearer_cnn": 0.3, "evaluation/logit_overfitting": 0.9}
        records = [*story(10), {"step": 900, "held_out": unseen, **scores}]
        assert [verdict.name for verdict in diagnose(SETTINGS, records)] == [name]


def test_that_the_discriminator_is_right_on_all_images_is_no_reason_to_call_a_run_healthy() -> None:
    sure: dict[str, Any] = {"accuracy__real": 1.0, "accuracy__fake": 0.99}
    (verdict,) = diagnose(SETTINGS, story(**sure))
    samples = "samples are 90% as varied as the data, and 0.05 spreads from it (good: up to 0.35)"
    right = "D is right on 100% of the reals and 99% of the fakes"
    why = "it sees flaws that these measures don't, or overfits"
    assert verdict.name == "healthy" and verdict.evidence == f"{samples}; but {right}: {why}"
    (verdict,) = diagnose(SETTINGS, story(**sure, discriminator__overfitting=0.55))
    ranked = "scores a training image above an unseen one 55% of the time (50 % without memorising)"
    assert verdict.evidence == f"{samples}; but {right}, and {ranked}: {why}"
    assert diagnose(SETTINGS, story())[0].evidence == f"D is right on 70% of the reals and 70% of the fakes; {samples}"


def test_a_verdict_says_when_it_began_and_what_is_seen_now() -> None:
    (verdict,) = diagnose(SETTINGS, story(12, samples__duplicates=lambda k: 0.9 + 0.01 * (k == 11) if k >= 6 else 0.0))
    assert (verdict.name, verdict.since) == (COLLAPSE, 700)
    assert "91%" in verdict.evidence and verdict.meaning and verdict.remedies
    assert verdict.line().startswith("generator collapse since step 700: ") and "; try loss=rpgan" in verdict.line()


def test_the_gravest_comes_first() -> None:
    both = diagnose(SETTINGS, story(12, samples__duplicates=0.9, gradient_norm__generator=1e6))
    assert [verdict.name for verdict in both] == ["diverged", COLLAPSE]


def test_without_a_logged_mean_nothing_is_said_of_the_discriminator() -> None:
    """Not that it is right on 0 %, either."""
    (verdict,) = diagnose(SETTINGS, [record for record in story(9) if "samples/spread" in record])
    assert verdict.name == "unclear" and verdict.evidence == "D's accuracy has not been logged yet (log_every_steps)"
    records = [record for record in story(9, samples__copies=0.9) if "samples/spread" in record]
    assert [verdict.name for verdict in diagnose(SETTINGS, records)] == ["memorising"]


def test_without_evidence_from_samples_nothing_is_said() -> None:
    (verdict,) = diagnose(SETTINGS, [record for record in story(30) if "loss/generator" in record])
    assert verdict.line() == "too early to say: a verdict needs a grid of samples after step 0 (sample_every_steps)"


def test_an_evaluation_need_not_be_seen_twice() -> None:
    records = [*story(10), {"step": 900, "evaluation/nearer_cnn": 0.9}]
    assert [verdict.name for verdict in diagnose(SETTINGS, records)] == ["memorising"]


@pytest.mark.parametrize("words", ["training has diverged", "the game has diverged"])
def test_a_run_that_ended_by_its_divergence(words: str) -> None:
    """Of this version and of older ones."""
    sentence = (
        f"step 37: loss/generator is nan; generator.0.weight holds such values: {words} (last good "
        "checkpoint: step 0). Likely cause: no; try nothing"
    )
    run_settings = RunSettings(generator_lr=0.5, discriminator_lr=0.5)
    verdict = diverged(sentence, likely_cause(run_settings, {})[1])
    assert (verdict.name, verdict.since) == ("diverged", 37)
    assert verdict.evidence == "loss/generator is nan; generator.0.weight holds such values"
    assert verdict.remedies == ("lr=0.0002",) and verdict.meaning == DIVERGING.meaning
    assert diverged("something else", ()).since == 0


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_any_history_gives_verdicts_in_order_which_follow_from_the_records_alone(seed: int) -> None:
    """Random histories: no crash, the gravest first, healthy alone, nothing dropped or reported too early."""
    draw = random.Random(seed)
    tags = {tag: draw.choice([0.0, 0.5, 1.0, 3.0, 1e4]) for tag in HEALTHY}
    records = list(story(15, **{tag.replace("/", "__"): lambda k, v=v: v * draw.random() for tag, v in tags.items()}))
    doctor, order = Doctor(SETTINGS), [trouble.name for trouble in TROUBLES]
    for number, record in enumerate(records):
        doctor.add(record)
        names = names_of(doctor)
        assert names in (["healthy"], ["unclear"], ["too early to say"]) or names == sorted(set(names), key=order.index)
        assert all(0 <= verdict.since <= record["step"] and verdict.meaning for verdict in doctor.verdicts)
        if number in (5, 20):  # as a run that goes on does
            assert Doctor(SETTINGS).follow(records[: number + 1]).verdicts == doctor.verdicts
    assert diagnose(SETTINGS, records) == doctor.verdicts


@pytest.mark.parametrize("loss", ["non_saturating", "minimax", "hinge", "lsgan", "wgan", "rpgan"])
def test_the_values_of_the_losses_decide_nothing(loss: str) -> None:
    """A critic's losses may be -300 and 250 in a healthy run."""
    run_settings = settings_of(make_config(f"loss={loss}").model_dump())
    for scale in (1.0, -300.0, 250.0):
        found = follow(story(loss__generator=scale, loss__discriminator=-scale), run_settings)
        assert found == [(500, ["healthy"])]


def test_a_learning_rate_far_too_high_is_not_healthy_however_good_the_samples() -> None:
    for one, network in (
        (RunSettings(generator_lr=0.02), "generator"),
        (RunSettings(discriminator_lr=0.02), "discriminator"),
    ):
        (verdict,) = diagnose(one, story())
        evidence = f"optimizer.{network}.lr=0.02 is far above the usual range (up to 0.001)"
        assert (verdict.name, verdict.evidence) == ("unclear", evidence)
        assert verdict.remedies == (f"optimizer.{network}.lr=0.0002",)
    for usual in (
        RunSettings(generator_lr=5e-3),
        RunSettings(generator_lr=0.02, discriminator_lr=0.02, usual_lr=0.02, has_betas=False),
    ):
        assert [one.name for one in diagnose(usual, story())] == ["healthy"]


def test_a_critic_that_nothing_bounds_is_not_healthy_however_good_the_samples() -> None:
    critic: dict[str, Any] = {"loss": "Wasserstein", "wants_bounded_critic": True}
    (verdict,) = diagnose(RunSettings(**critic), story())
    assert verdict.name == "unclear" and "nothing bounds the critic" in verdict.evidence
    assert verdict.remedies == ("penalty=wgan_gp loss.clip=null",)
    for bounded in (RunSettings(**critic, penalised=True), RunSettings(**critic, spectral_norm=True)):
        assert [one.name for one in diagnose(bounded, story())] == ["healthy"]
