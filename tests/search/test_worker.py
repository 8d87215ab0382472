import math
import signal
from pathlib import Path

import pytest
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from fake_jobs import FakeJobs, distance_from
from gan_exp.errors import UserError
from gan_exp.runtime.signals import recording_signals
from gan_exp.search import claims, worker
from gan_exp.sweeps.job import Outcome
from searches import WORDS, Search


def test_trains_as_many_trials_as_asked(search: Search) -> None:
    search.ask().worker(count=4, slots=2).run()
    assert [row.state for row in search.rows] == ["complete"] * 4
    for row, job in zip(search.rows, search.jobs.started, strict=True):
        assert job.config["lr"] == row.params["lr"] and job.config["model"]["name"] == row.params["model"]
        assert job.config["best_metric"] == "fid" and job.config["evaluate_every_steps"] == 40  # the last step alone
        assert Path(job.directory) == search.directory / row.run and job.go_on
        assert row.values == (search.jobs.score(job.config, 40),)
    assert sorted(search.told) == sorted(search.rows)


def test_goes_on_where_it_ended(search: Search) -> None:
    search.ask().worker(count=2).run()
    search.worker(count=2).run()
    assert len(search.rows) == 2
    search.worker(count=5).run()
    assert len(search.rows) == 5
    assert len({row.params["lr"] for row in search.rows}) == 5


def test_a_seeded_sampler_goes_on_with_other_values(search: Search) -> None:
    """It would draw the first trials once more."""
    search.ask().worker(count=2).run()
    search.ask().worker(count=4).run()
    assert len({row.params["lr"] for row in search.rows}) == 4


def test_a_diverged_trial_fails_alone_and_teaches_the_sampler(search: Search) -> None:
    search.jobs = FakeJobs(distance_from(1e-3), {1: [Outcome(1, "training diverged at step 3")]})
    search.ask().worker().run()
    assert [row.state for row in search.rows] == ["complete", "diverged", "complete"]
    assert search.rows[1].cause == "training diverged at step 3" and search.rows[1].values == ()
    assert search.study.trials[1].state is TrialState.PRUNED  # samplers learn nothing from a failed trial


@pytest.mark.parametrize("outcome", [Outcome(1, "the disk is full", can_go_on=True), Outcome(2, "refused")])
def test_a_failed_trial_fails_alone(search: Search, outcome: Outcome) -> None:
    search.jobs = FakeJobs(distance_from(1e-3), {0: [outcome]})
    search.ask().worker(count=2).run()
    assert [(row.state, row.cause) for row in search.rows] == [("failed", outcome.cause), ("complete", "")]


def test_values_that_make_no_configuration_fail_their_trial(search: Search) -> None:
    search.ask("lr=log(1e-5,1e-1)", "lrr=choice(a,b)").worker(count=2).run()
    assert [row.state for row in search.rows] == ["failed", "failed"] and "lrr" in search.rows[0].cause
    assert search.jobs.started == []


def test_a_score_that_is_not_finite_fails_the_trial(search: Search) -> None:
    search.jobs = FakeJobs(lambda config, step: math.inf)
    search.ask().worker(count=1).run()
    assert search.rows[0].state == "failed" and "fid is missing" in search.rows[0].cause


def test_a_killed_run_goes_on(search: Search) -> None:
    killed = Outcome(-9, "killed by SIGKILL", can_go_on=True)
    search.jobs = FakeJobs(distance_from(1e-3), {0: [killed], 1: [killed]})
    search.ask().worker(count=1).run()
    assert [row.state for row in search.rows] == ["complete"]
    assert len(search.jobs.started) == 3 and len({job.directory for job in search.jobs.started}) == 1
    assert search.said[0].endswith("killed by SIGKILL; it goes on from its checkpoint")


def test_a_run_that_is_killed_again_and_again_fails(search: Search) -> None:
    killed = Outcome(-9, "killed by SIGKILL", can_go_on=True)
    search.jobs = FakeJobs(distance_from(1e-3), {number: [killed] for number in range(4)})
    search.ask().worker(count=2).run()
    assert [(row.state, row.cause) for row in search.rows] == [
        ("failed", "killed by SIGKILL (4 times)"),
        ("complete", ""),
    ]


def test_a_worker_that_is_stopped_gives_its_trials_back(search: Search) -> None:
    search.ask()
    with recording_signals():
        first = search.worker(count=2, slots=2)
        assert not first.tick()
        signal.raise_signal(signal.SIGTERM)
        first.run()
    assert all(process.stopped for process in search.jobs.processes)
    assert [row.state for row in search.rows] == ["waiting", "waiting"]
    before = [row.params for row in search.rows]
    search.worker(count=2).run()
    assert [row.state for row in search.rows] == ["complete", "complete"]
    assert [row.params for row in search.rows] == before
    assert [job.directory for job in search.jobs.started[2:]] == [job.directory for job in search.jobs.started[:2]]


def test_the_trial_of_a_dead_worker_is_trained_by_another_one(search: Search) -> None:
    search.ask()
    dead = search.worker(count=1)
    dead.tick()
    dead.claims._lock.release()  # as the system does for a process that is killed
    search.worker(count=1).run()
    assert [row.state for row in search.rows] == ["complete"]
    assert "trial 0: its worker has died" in search.said[0]


def test_of_another_machine_it_is_trained_once_its_beats_stay_away(search: Search) -> None:
    search.ask()
    dead = search.worker(count=1)
    dead.claims._host, dead.claims.name = "elsewhere", "elsewhere:1"
    dead.tick()
    other = search.worker(count=1)
    for _ in range(3):
        assert not other.tick()
        search.now += claims.BEAT_S
        dead.claims.beat([slot.trial for slot in dead._slots])
    assert "waiting for other workers' trials: 0" in search.said
    assert len(search.jobs.started) == 1
    search.now += claims.GRACE_S
    other.tick()
    search.now += claims.GRACE_S
    other.run()
    assert [row.state for row in search.rows] == ["complete"] and len(search.jobs.started) == 2


def test_a_worker_drops_a_trial_that_another_one_has_taken_over(search: Search) -> None:
    """It was only asleep."""
    search.ask(*WORDS, "evaluate_every_steps=1")
    asleep = search.worker(count=1)
    asleep.tick()
    asleep.claims._lock.release()
    taker = search.worker(count=1)  # one that nothing refers to would lose its lock, and so its trial
    taker.tick()
    search.now += claims.BEAT_S
    asleep.tick()
    assert search.jobs.processes[0].stopped and not asleep._slots and len(taker._slots) == 1
    assert "trial 0: another worker has taken it over" in search.said


def test_waits_for_a_run_that_a_dead_workers_process_still_trains(search: Search) -> None:
    search.ask()
    one = search.worker(count=1)
    one.tick()
    one._slots[0].training._runs[0].process = None  # type: ignore[union-attr]
    job = search.jobs.started[0]
    job.run.path.mkdir(parents=True, exist_ok=True)
    with FileLock(job.run.lock):
        one.tick()
        assert len(search.jobs.started) == 1
    one.run()
    assert len(search.jobs.started) == 2 and [row.state for row in search.rows] == ["complete"]


def test_two_workers_share_the_last_trial(search: Search) -> None:
    search.ask()
    first, second = search.worker(count=3, slots=2), search.worker(count=3, slots=2)
    while not (first.tick() and second.tick()):
        search.now += worker.LOOK_S
    assert [row.state for row in search.rows] == ["complete"] * 3


def test_a_database_that_is_away_for_a_while_costs_nothing(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    search.ask()
    one = search.worker(count=2)
    original, failures = one._study.tell, [StorageInternalError("gone"), StorageInternalError("gone")]

    def tell(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(one._study, "tell", tell)
    one.run()
    assert [row.state for row in search.rows] == ["complete"] * 2 and len(search.jobs.started) == 2
    assert sum("can't be reached (gone)" in line for line in search.said) == 1


def test_a_database_that_stays_away_ends_the_worker(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    search.ask()
    one = search.worker(count=2)
    one.tick()

    def tell(*_: object) -> object:
        search.now += worker.PATIENCE_S
        raise StorageInternalError("gone")

    monkeypatch.setattr(one._study, "tell", tell)
    with pytest.raises(UserError, match=r"can't be reached any more \(gone\); the same command goes on"):
        one.run()
    monkeypatch.undo()
    assert search.rows[0].state == "waiting"  # with its run finished: the next worker only reads its score


def test_a_grid_ends_with_its_last_point(search: Search) -> None:
    search.ask("lr=choice(1e-3,1e-4)", "batch_size=choice(16,32)", "steps=40", sampler="grid").worker(count=10).run()
    found = [(row.params["lr"], row.params["batch_size"]) for row in search.rows]
    assert sorted(found) == [("0.0001", "16"), ("0.0001", "32"), ("0.001", "16"), ("0.001", "32")]
