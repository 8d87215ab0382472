"""One run of one experiment: trained, evaluated, and kept as JSON, so that no finished run is repeated."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.quality.experiments import Experiment, comparison_of
from gan_exp.config.catalog import conf_dir
from gan_exp.config.check import check
from gan_exp.config.hydra_support import register_resolvers
from gan_exp.runtime.files import json_text

CURVE = "evaluation/"  # prefix of the scores of evaluations during training in metrics.jsonl


class RunFailed(Exception):
    """A command failed; the message names it and its log file."""


@dataclass(frozen=True)
class Spent:
    seconds: float  # on the clock
    cpu_seconds: float  # of all threads, in user and system mode together


def load_config(words: list[str]) -> dict[str, Any]:
    """The checked configuration that `gan-exp train` would make from `words`, as plain values."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = OmegaConf.to_container(compose("config", words), resolve=True)
    assert isinstance(composed, dict)
    return check({str(key): value for key, value in composed.items()}).model_dump(mode="json")


def digest(config: dict[str, Any], experiment: Experiment) -> str:
    """Of everything that the figures depend on, except for the seed, the data's location and the code's version."""
    settings = {key: value for key, value in config.items() if key not in ("seed", "display")}
    settings["dataset"] = {key: value for key, value in config["dataset"].items() if key != "root"}
    named = [settings, list(comparison_of(experiment).evaluation), experiment.threads]
    return hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=6).hexdigest()


def measured(experiment: Experiment, seed: int, out: Path, data: str | None) -> dict[str, Any]:
    """The result of `seed`: read from `out` if it exists, otherwise trained and evaluated. Raises RunFailed.

    An interrupted run starts anew, because its seconds are counted for one process.
    """
    comparison = comparison_of(experiment)
    words = [*experiment.words, f"seed={seed}", "device=cpu", f"device.threads={experiment.threads}", "display=quiet"]
    config = load_config(words)
    place = out / f"{experiment.name}-{digest(config, experiment)}-{seed}"
    result_path = place.with_suffix(".json")
    if result_path.exists():
        kept: dict[str, Any] = json.loads(result_path.read_text(encoding="utf-8"))
        return kept
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(experiment.threads)}
    if data is not None:
        environment["GAN_EXP_DATA"] = data
    run = place / "run"
    trained = _call(["train", *words, f"hydra.run.dir={run}"], place / "train.log", environment)
    evaluated = _call(["evaluate", str(run), *comparison.evaluation], place / "evaluate.log", environment)
    (report_path,) = (run / "checkpoints").glob(f"step-{config['steps']:08d}-*.evaluation.json")
    report = json.loads(report_path.read_text(encoding="utf-8"))
    result = {
        "experiment": experiment.name,
        "seed": seed,
        "words": words,
        "steps": config["steps"],
        "batch_size": config["batch_size"],
        "training": vars(trained),
        "evaluation": vars(evaluated),
        "scores": {name: value["mean"] for name, value in report["metrics"].items()},
        "curve": read_curve(run / "metrics.jsonl"),
        "protocol": report["protocol"],
    }
    spare = result_path.with_suffix(".part")
    spare.write_text(json_text(result, indent=1) + "\n", encoding="utf-8")
    spare.replace(result_path)
    return result


def read_curve(metrics: Path) -> list[dict[str, float]]:
    """The evaluations during training: their steps and scores."""
    lines = map(json.loads, metrics.read_text(encoding="utf-8").splitlines())
    found = [
        {"step": line["step"], **{key.removeprefix(CURVE): line[key] for key in line if key.startswith(CURVE)}}
        for line in lines
    ]
    return [point for point in found if len(point) > 1]


def _call(words: list[str], log: Path, environment: dict[str, str]) -> Spent:
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
