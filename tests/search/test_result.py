import csv

import pytest

from fake_jobs import FakeJobs
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.search import trial
from gan_exp.search.result import Row, front, importances, ranked, write_experiments, write_history
from gan_exp.search.show import counts, trial_line
from gan_exp.search.trial import trial_config
from searches import Search


def row(number: int, *values: float, state: str = "complete") -> Row:
    return Row(number, state, values, {}, "", "")


def test_ranks(search: Search) -> None:
    found = [row(0, 2.0), row(1, 1.0), row(2, state="failed"), row(3, 3.0)]
    assert [one.number for one in ranked(search.ask().setting.question, found)] == [1, 0, 3]


def test_ranks_by_the_metrics_direction(search: Search) -> None:
    question = search.ask(metric="recall").setting.question
    assert [one.number for one in ranked(question, [row(0, 0.2), row(1, 0.9)])] == [1, 0]
    assert front(question, [row(0, 0.2), row(1, 0.9)]) == [row(1, 0.9)]


def test_the_front(search: Search) -> None:
    question = search.ask(metric="recall,seconds").setting.question
    found = [row(0, 0.5, 10), row(1, 0.9, 20), row(2, 0.4, 11), row(3, 0.9, 25), row(4, state="diverged")]
    assert [one.number for one in front(question, found)] == [1, 0]


def test_the_history_as_a_table(search: Search) -> None:
    search.ask().worker(count=3).run()
    path = write_history(search.directory, search.setting.question, search.rows)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["trial", "state", "fid", "lr", "model", "run", "cause"]
    assert [float(line["lr"]) for line in found] == [one.params["lr"] for one in search.rows]


def test_importances(search: Search) -> None:
    search.ask("lr=log(1e-5,1e-1)", "batch_size=choice(16,32)", "steps=4").worker(count=12).run()
    shares = importances(search.study, search.setting.question)["fid"]
    assert shares["lr"] > shares["batch_size"] and sum(shares.values()) == pytest.approx(1)


def test_too_few_trials_for_importances(search: Search) -> None:
    search.ask().worker(count=1).run()
    assert importances(search.study, search.setting.question) == {}


@pytest.mark.parametrize(
    "words",
    [
        ("lr=log(1e-5,1e-1)", "model=choice(dcgan,resnet)", "steps=4"),
        ("lr=log(1e-5,1e-1)", "experiment=ring", "steps=4", "penalty=choice(r1,r1_r2)", "seed=3"),
        (
            "model=mlp",
            "optimizer.discriminator.lr=log(1e-5,1e-1)",
            "model.generator.widths=choice([8],[8,16])",
            "lr=1e-3",
        ),
    ],
)
def test_the_best_as_an_experiment(search: Search, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Training it makes the configuration of the best trial, whatever the search began with."""
    monkeypatch.setattr(trial, "compose", compose)
    search.ask(*words)
    asked = search.study.ask(search.setting.question.space.distributions)
    best = Row(0, "complete", (1.0,), dict(asked.params), "", "")
    assert write_experiments(search.directory, search.setting, [best], "here") == ["best"]
    wanted = trial_config(search.setting, search.setting.question.space.words(best.params))[0]
    assert check(compose(["experiment=best"], [search.directory]).plain) == wanted
    # A key that the recipe derives from another one still follows it.
    moved = check(compose(["experiment=best", "lr=0.5"], [search.directory]).plain)
    assert 0.5 in (moved.optimizer.generator["lr"], moved.optimizer.discriminator["lr"])  # ring sets G's itself
    text = (search.directory / "experiment/best.yaml").read_text()
    assert text.startswith("# @package _global_\n# trial 0 of a search of 1 trial: fid 1\n")


def test_an_experiment_for_each_trial_of_the_front(search: Search) -> None:
    search.ask(metric="fid,seconds")
    params = {"lr": 1e-3, "model": "mlp"}
    found = [Row(n, "complete", (float(n), -float(n)), params, "", "") for n in range(2)]
    names = write_experiments(search.directory, search.setting, found, "here")
    assert names == ["best", "trial-0", "trial-1"]
    assert sorted(path.stem for path in (search.directory / "experiment").iterdir()) == sorted(names)
    found.append(Row(2, "complete", (-1.0, -0.5), params, "", ""))  # beats the first one in both
    names = write_experiments(search.directory, search.setting, found, "here")
    assert names == ["best", "trial-2", "trial-1"]
    assert sorted(path.stem for path in (search.directory / "experiment").iterdir()) == sorted(names)


def test_the_lines(search: Search) -> None:
    search.jobs = FakeJobs(lambda config, step: 2.0)
    search.ask().worker(count=2).run()
    line = trial_line(search.setting.question, search.rows[1], search.rows, 2)
    assert line.startswith("trial 1 (lr=") and line.endswith("fid 2; 2 of 2 done, best: fid 2 of trial 0")
    assert counts(search.rows) == "2 complete"
