"""Runs that were trained elsewhere: found by their settings, evaluated together, and kept like all others."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.quality.experiments import Comparison, Experiment, comparison_of
from benchmarks.quality.runs import RunFailed, call, keep, load_config, result_file, result_of, settings_of
from gan_exp.config.check import check
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import RUN_FILE

Say = Callable[[str], None]


class Found(NamedTuple):
    experiment: Experiment
    run: RunDir
    config: dict[str, Any]


def find_runs(folder: Path, experiments: Sequence[Experiment], say: Say) -> list[Found]:
    """The finished runs in `folder` whose settings are those of an experiment, by the experiments' order and the seed.

    All others are named with the reason. A run called as an experiment with a number (article-3) should be of it.
    """
    wanted = {experiment.name: settings_of(load_config([*experiment.words])) for experiment in experiments}
    found: dict[tuple[str, int], Found] = {}
    for path in sorted(one.parent for one in folder.glob(f"*/{RUN_FILE}")):
        run = RunDir(path)
        try:
            config = check(run.read_config()).model_dump(mode="json")
        except UserError as error:
            say(f"left out: {error}")
            continue
        settings = settings_of(config)
        experiment = next((one for one in experiments if wanted[one.name] == settings), None)
        reason = _unusable(run, config["steps"])
        if experiment is None:
            expected = wanted.get(path.name.rpartition("-")[0])
            unlike = "" if expected is None else f": {', '.join(_differences(settings, expected))}"
            say(f"left out: {path.name} has the settings of no chosen experiment{unlike}")
        elif reason:
            say(f"left out: {path.name} {reason}")
        elif (experiment.name, config["seed"]) in found:
            first = found[experiment.name, config["seed"]].run.path.name
            say(f"left out: {path.name} has the settings and the seed of {first}")
        else:
            found[experiment.name, config["seed"]] = Found(experiment, run, config)
    order = [one.name for one in experiments]
    return sorted(found.values(), key=lambda one: (order.index(one.experiment.name), one.config["seed"]))


def _unusable(run: RunDir, steps: int) -> str:
    status = run.read_status()
    if status.get("state") != "finished" or status.get("step") != steps:
        return f"is not finished ({status.get('step', 0):,} of {steps:,} steps)"
    return "" if run.checkpoint(steps).exists() else "has no checkpoint of its last step"


def _differences(settings: dict[str, Any], expected: dict[str, Any]) -> Iterator[str]:
    """`lr is 0.002 instead of 0.001` for each key, nested ones with their group."""
    here, there = dict(_leaves(settings)), dict(_leaves(expected))
    for key in dict.fromkeys((*there, *here)):
        if here.get(key) != there.get(key):
            yield f"{key} is {here.get(key)} instead of {there.get(key)}"


def _leaves(settings: dict[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{group}{key}.")
        else:
            yield f"{group}{key}", value


def measured_together(found: Iterable[Found], out: Path, say: Say) -> dict[str, list[dict[str, Any]]]:
    """The results by the experiments' names. The runs of a comparison are evaluated by one command.

    A result that is older than its run's checkpoint is measured again.
    """
    found = list(found)
    for comparison in {comparison_of(one.experiment).name: comparison_of(one.experiment) for one in found}.values():
        pending = [one for one in found if comparison_of(one.experiment) is comparison and not _is_measured(one, out)]
        if pending:
            _evaluate(comparison, pending, out, say)
    results: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        if _is_measured(one, out):
            result = json.loads(_path(one, out).read_text(encoding="utf-8"))
            results.setdefault(one.experiment.name, []).append(result)
    return results


def _path(one: Found, out: Path) -> Path:
    return result_file(one.experiment, one.config, one.config["seed"], out)


def _is_measured(one: Found, out: Path) -> bool:
    path = _path(one, out)
    return path.exists() and path.stat().st_mtime > one.run.checkpoint(one.config["steps"]).stat().st_mtime


def _evaluate(comparison: Comparison, pending: Sequence[Found], out: Path, say: Say) -> None:
    """If the command fails, the runs before the failing one are kept."""
    out.mkdir(parents=True, exist_ok=True)
    log = out / f"evaluate-{comparison.name}.log"
    log.write_text("", encoding="utf-8")
    began = log.stat().st_mtime
    say(f"{comparison.name}: evaluating {', '.join(one.run.path.name for one in pending)}")
    try:
        call(["evaluate", *(str(one.run.path) for one in pending), *comparison.evaluation], log, dict(os.environ))
    except RunFailed as failure:
        say(f"left out: {failure}")
    for one in pending:
        reports = one.run.checkpoints.glob(f"step-{one.config['steps']:08d}-*.evaluation.json")
        if any(report.stat().st_mtime >= began for report in reports):
            words = [*one.experiment.words, f"seed={one.config['seed']}"]
            keep(result_of(one.experiment, one.run.path, one.config, words), _path(one, out))
