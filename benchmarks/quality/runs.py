"""One run of one experiment: trained, evaluated, and kept as JSON, so that no finished run is repeated."""

import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from pydoc import locate
from typing import Any

from benchmarks.quality.experiments import Experiment, comparison_of
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.runtime.files import json_text

CURVE = "evaluation/"  # prefix of the scores of evaluations during training in metrics.jsonl


RATE = "progress/images_per_sec"  # since the line before, evaluations not counted
# Keys that change no score, and those that do by no more than rounding.
NOT_SETTINGS = (
    "name", "seed", "device", "fast_path", "display", "grid_rows", "grid_columns",
    "log_every_steps", "sample_every_steps", "checkpoint_every_steps", "keep_checkpoints", "best_metric",
)  # fmt: skip


class RunFailed(Exception):
    """A command failed; the message names it and its log file."""


@dataclass(frozen=True)
class Spent:
    seconds: float  # on the clock
    cpu_seconds: float  # of all threads, in user and system mode together


def load_config(words: list[str]) -> dict[str, Any]:
    """The checked configuration that `gan-exp train` would make from `words`, as plain values."""
    return check(compose(words).plain).model_dump(mode="json")


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """Everything that a run's scores depend on, except for the seed, the data's location and the device."""
    settings = {key: value for key, value in config.items() if key not in NOT_SETTINGS}
    settings["dataset"] = {key: value for key, value in config["dataset"].items() if key != "root"}
    return {key: _with_defaults(value) for key, value in settings.items()}


def _with_defaults(value: Any) -> Any:
    """Groups also with the arguments that they leave to their class: a run may be older than an argument."""
    if not isinstance(value, dict):
        return value
    given = {key: _with_defaults(one) for key, one in value.items()}
    if value.get("_target_") is None:
        return given
    parameters = inspect.signature(locate(value["_target_"])).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    left: dict[str, Any] = json.loads(json.dumps(defaults, default=str))  # lists for tuples, as in a configuration
    return left | given


def digest(config: dict[str, Any], experiment: Experiment) -> str:
    """Of everything that the figures depend on, except for the seed and the code's version."""
    named = [settings_of(config), list(comparison_of(experiment).evaluation), experiment.threads]
    return hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=6).hexdigest()


def result_file(experiment: Experiment, config: dict[str, Any], seed: int, out: Path) -> Path:
    return out / f"{experiment.name}-{digest(config, experiment)}-{seed}.json"


def measured(experiment: Experiment, seed: int, out: Path, data: str | None) -> dict[str, Any]:
    """The result of `seed`: read from `out` if it exists, otherwise trained and evaluated. Raises RunFailed.

    An interrupted run starts anew, because its seconds are counted for one process.
    """
    words = [*experiment.words, f"seed={seed}", "device=cpu", f"device.threads={experiment.threads}", "display=quiet"]
    config = load_config(words)
    path = result_file(experiment, config, seed, out)
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    place = path.with_suffix("")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(experiment.threads)}
    if data is not None:
        environment["GAN_EXP_DATA"] = data
    run = place / "run"
    trained = call(["train", *words, f"hydra.run.dir={run}"], place / "train.log", environment)
    words_of_evaluation = ["evaluate", str(run), *comparison_of(experiment).evaluation]
    evaluated = call(words_of_evaluation, place / "evaluate.log", environment)
    result = result_of(experiment, run, config, words)
    result["training"] |= vars(trained)
    return keep(result | {"evaluation": vars(evaluated)}, path)


def result_of(experiment: Experiment, run: Path, config: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """What an evaluated run has: its scores beside the data's own, and what its records say."""
    reports = (run / "checkpoints").glob(f"step-{config['steps']:08d}-*.evaluation.json")
    report = json.loads(max(reports, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
    metrics, environment = run / "metrics.jsonl", (run / "environment.json").read_text(encoding="utf-8")
    return {
        "experiment": experiment.name,
        "seed": config["seed"],
        "words": words,
        "steps": config["steps"],
        "batch_size": config["batch_size"],
        "run": str(run),
        "scores": {name: value["mean"] for name, value in report["metrics"].items()},
        "data": {name: value["data"] for name, value in report["metrics"].items() if "data" in value},
        "curve": read_curve(metrics),
        "training": {"steps_seconds": read_seconds(metrics), "threads": json.loads(environment)["threads"]},
        "protocol": report["protocol"],
    }


def keep(result: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write the result, and return it."""
    spare = path.with_suffix(".part")
    spare.write_text(json_text(result, indent=1) + "\n", encoding="utf-8")
    spare.replace(path)
    return result


def read_curve(metrics: Path) -> list[dict[str, float]]:
    """The evaluations during training: their steps and scores."""
    found = [
        {"step": line["step"], **{key.removeprefix(CURVE): line[key] for key in line if key.startswith(CURVE)}}
        for line in _lines(metrics)
    ]
    return [point for point in found if len(point) > 1]


def read_seconds(metrics: Path) -> float:
    """The time of the training steps by the clock, without start-up, evaluations, and other work on the machine.

    All images at the speed of the fastest tenth of the log's entries: other work slows down the others.
    """
    lines = [line for line in _lines(metrics) if RATE in line]
    fast = sorted(line[RATE] for line in lines)[int(0.9 * len(lines))]
    return float(1000 * lines[-1]["progress/kimg"] / fast)


def _lines(metrics: Path) -> list[dict[str, Any]]:
    return list(map(json.loads, metrics.read_text(encoding="utf-8").splitlines()))


def call(words: list[str], log: Path, environment: dict[str, str]) -> Spent:
    """Run a command of gan-exp with its output in `log`."""
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gan_exp", *words], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)  # of this process alone: others may run beside it
        except BaseException:
            process.kill()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise RunFailed(f"gan-exp {' '.join(words)} failed: {last or process.returncode} ({log})")
    return Spent(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)
