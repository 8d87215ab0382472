"""Several seeds, pruning, the best checkpoint, several objectives: what a trial reports and ends with."""

from itertools import pairwise
from pathlib import Path

import pytest

from fake_jobs import FakeJobs
from gan_exp.search.trial import EVALUATIONS
from searches import WORDS, Search


def test_the_mean_over_seeds(search: Search) -> None:
    search.jobs = FakeJobs(lambda config, step: float(config["seed"]))
    search.ask(*WORDS, "seed=4", seeds=3).worker(count=1).run()
    assert search.rows[0].values == (5.0,)
    assert [job.config["seed"] for job in search.jobs.started] == [4, 5, 6]
    folders = [Path(job.directory).relative_to(search.directory / search.rows[0].run) for job in search.jobs.started]
    assert [str(folder) for folder in folders] == ["seed-4", "seed-5", "seed-6"]


def test_the_best_checkpoint(search: Search) -> None:
    search.jobs = FakeJobs(lambda config, step: abs(step - 12.0))
    search.ask(checkpoint="best").worker(count=1).run()
    assert search.rows[0].values == (0.0,)
    assert search.jobs.started[0].config["evaluate_every_steps"] == 40 // EVALUATIONS


def test_quality_against_seconds(search: Search) -> None:
    search.ask(metric="fid,seconds").worker(count=2).run()
    assert [row.values[1] for row in search.rows] == [pytest.approx(4.0)] * 2  # 40 images at 10 images a second


def test_a_bad_trial_is_pruned(search: Search) -> None:
    """The first trials are good, the others bad from their first evaluation on."""
    search.jobs = FakeJobs(lambda config, step: 1.0 if len(search.jobs.started) <= 2 else 9.0)
    search.ask(pruner="median(n_startup_trials=2)").worker(count=4).run()
    assert [row.state for row in search.rows] == ["complete", "complete", "pruned", "pruned"]
    assert search.rows[2].cause == "after 4 steps"
    assert search.jobs.processes[2].stopped
    assert search.study.trials[0].intermediate_values == dict.fromkeys(range(1, 11), 1.0)


def test_reports_of_several_seeds_compare_like_with_like(search: Search) -> None:
    """Number 11 is the first evaluation of the second seed, and the mean of both seeds then."""
    search.jobs = FakeJobs(lambda config, step: step + 100.0 * config["seed"])
    search.ask(seeds=2, pruner="threshold(upper=1000)").worker(count=1).run()
    reported = search.study.trials[0].intermediate_values
    assert [reported[number] for number in (1, 10, 11, 20)] == [4.0, 40.0, 54.0, 90.0]


def test_a_trial_that_was_given_back_reports_each_evaluation_once(search: Search) -> None:
    search.ask(pruner="threshold(upper=1000)")
    one = search.worker(count=1)
    for _ in range(4):
        one.tick()
    one._leave()
    search.worker(count=1).run()
    assert sorted(search.study.trials[0].intermediate_values) == list(range(1, 11))
    assert search.rows[0].state == "complete"


def test_the_words_of_a_run_can_be_repeated(search: Search) -> None:
    search.ask(seeds=2).worker(count=1).run()
    lr = search.rows[0].params["lr"]
    words = search.jobs.started[1].words
    assert {f"lr={lr}", "seed=1", "best_metric=fid", "evaluate_every_steps=40"} <= set(words)
    assert all(first.trusted == second.trusted for first, second in pairwise(search.jobs.started))
