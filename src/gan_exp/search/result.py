"""What a search has found: its history, the importances of the parameters, and the best as an experiment."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from gan_exp.config.catalog import groups
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.config.overrides import leaves
from gan_exp.config.plain_yaml import read_yaml, yaml_text
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.words import plural
from gan_exp.search.study import Question
from gan_exp.search.trial import Setting, trial_config
from gan_exp.search.worker import CAUSE, DIVERGED, RUN, TRIALS, counted

HISTORY = "history.csv"
LEAST_TRIALS = 8  # below it, the shares of parameters are noise alone
EXPERIMENTS = "experiment"  # a group of options, as in conf/


class Row(NamedTuple):
    """A trial as the history shows it."""

    number: int
    state: str  # complete, pruned, diverged, failed, running or waiting
    values: tuple[float, ...]  # of the objectives, () unless it is complete
    params: dict[str, Any]
    run: str  # its directory, below the search's
    cause: str


STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def rows(study: optuna.Study) -> list[Row]:
    return [row_of(trial) for trial in counted(study.get_trials(deepcopy=False))]


def row_of(trial: FrozenTrial) -> Row:
    attributes = trial.user_attrs
    state = "diverged" if attributes.get(DIVERGED) else STATES[trial.state]
    values = tuple(trial.values) if trial.state is TrialState.COMPLETE else ()
    run = f"{TRIALS}/{attributes[RUN]}" if RUN in attributes else ""
    return Row(trial.number, state, values, dict(trial.params), run, str(attributes.get(CAUSE, "")))


def ranked(question: Question, found: Sequence[Row]) -> list[Row]:
    """The complete trials, the best by the first objective first."""
    sign = 1 if question.objectives[0].better == "lower" else -1
    return sorted((row for row in found if row.state == "complete"), key=lambda row: (sign * row.values[0], row.number))


def front(question: Question, found: Sequence[Row]) -> list[Row]:
    """The complete trials that no other one beats in every objective: one of them, if there is one objective."""
    signs = [1 if objective.better == "lower" else -1 for objective in question.objectives]
    best = ranked(question, found)
    if len(signs) == 1:
        return best[:1]
    scores = {row.number: [sign * value for sign, value in zip(signs, row.values, strict=True)] for row in best}

    def beaten(row: Row) -> bool:
        mine = scores[row.number]
        others = (other for other in scores.values() if other != mine)
        return any(all(a <= b for a, b in zip(other, mine, strict=True)) for other in others)

    return [row for row in best if not beaten(row)]


def importances(study: optuna.Study, question: Question) -> dict[str, dict[str, float]]:
    """For each objective the share of each parameter in its variation; empty where there are too few trials."""
    found: dict[str, dict[str, float]] = {}
    if sum(row.state == "complete" for row in rows(study)) < LEAST_TRIALS:
        return found
    for place, objective in enumerate(question.objectives):
        try:
            target = None if len(question.objectives) == 1 else (lambda trial, place=place: trial.values[place])
            found[objective.metric] = dict(optuna.importance.get_param_importances(study, target=target))
        except (ValueError, RuntimeError, ImportError):
            continue
    return found


def write_history(directory: Path, question: Question, found: Sequence[Row]) -> Path:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [objective.metric for objective in question.objectives]
    keys = [parameter.name for parameter in question.space.parameters]
    table.writerow(["trial", "state", *names, *keys, "run", "cause"])
    for row in found:
        values = row.values or [""] * len(names)
        table.writerow([row.number, row.state, *values, *(row.params.get(key, "") for key in keys), row.run, row.cause])
    write_atomically(directory / HISTORY, text.getvalue(), durable=False)
    return directory / HISTORY


def write_experiments(directory: Path, setting: Setting, found: Sequence[Row], place: str) -> list[str]:
    """experiment/best.yaml, and of several objectives one file for each trial of the front; returns their names.

    The files of trials that have left the front since are removed.
    """
    question = setting.question
    best = front(question, found)
    names = []
    for name, row in (
        [("best", best[0]), *((f"trial-{row.number}", row) for row in best if len(best) > 1)] if best else ()
    ):
        results = ", ".join(f"{o.metric} {v:.4g}" for o, v in zip(question.objectives, row.values, strict=True))
        mean = f", the mean of {question.seeds} seeds" if question.seeds > 1 else ""
        about = (
            f"trial {row.number} of a search of {plural(len(found), 'trial')}: {results}{mean}",
            f"train it: gan-exp train --config-dir {place} experiment={name}",
        )
        _write_experiment(directory, name, setting, row, about)
        names.append(name)
    for path in (directory / EXPERIMENTS).glob("trial-*.yaml"):
        if path.stem not in names:
            path.unlink(missing_ok=True)
    return names


def _write_experiment(directory: Path, name: str, setting: Setting, row: Row, about: Sequence[str]) -> None:
    """An option of the group `experiment` which makes the trial's configuration; seed and device stay the user's."""
    words = setting.question.space.words(row.params)
    wanted = trial_config(setting, words)[0].model_dump(mode="json")
    composed = compose(words, setting.config_dirs)
    chosen = {group: option for group, option in composed.choices.items() if "/" not in group and group != EXPERIMENTS}
    body: dict[str, Any] = _keys_of_experiment(composed.choices.get(EXPERIMENTS), setting)
    given = {word.partition("=")[0].lstrip("+") for word in words if not word.startswith("~")}
    for key in [*sorted(given - chosen.keys() - {EXPERIMENTS}), "best_metric", "evaluate_every_steps"]:
        _set(body, key, _get(wanted, key))
    path = directory / EXPERIMENTS / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    _write(path, about, chosen, body)
    made = check(compose([f"experiment={name}"], [*setting.config_dirs, directory]).plain).model_dump(mode="json")
    differing = {key: value for key, value in leaves(wanted).items() if leaves(made).get(key) != value}
    if differing:
        for key, value in differing.items():
            _set(body, key, value)
        _write(path, about, chosen, body)


def _keys_of_experiment(option: str | None, setting: Setting) -> dict[str, Any]:
    """What the recipe that the search began with sets, its interpolations included."""
    path = groups(setting.config_dirs)[EXPERIMENTS].get(option or "")
    content = {} if path is None else read_yaml(path.read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key != "defaults"}


def _write(path: Path, about: Sequence[str], chosen: dict[str, str | None], body: dict[str, Any]) -> None:
    head = "".join(f"# {line}\n" for line in ("@package _global_", *about))
    defaults = {"defaults": [{f"override /{group}": option} for group, option in sorted(chosen.items())]}
    write_atomically(path, f"{head}{yaml_text(defaults)}\n{yaml_text(body)}")


def _get(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _set(node: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
