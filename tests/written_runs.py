"""Directories as runs leave them, written in a moment: for what reads many runs."""

import copy
import json
import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

from builders import plain_config
from gan_exp.config.overrides import leaves
from gan_exp.config.plain_yaml import yaml_text
from gan_exp.runs.run_dir import RunDir

VERDICT = {"name": "healthy", "since": 500, "evidence": "e", "meaning": "m", "remedies": []}


@cache
def _plain(words: tuple[str, ...]) -> dict[str, Any]:
    return plain_config(*words).model_dump(mode="json")


def write_run(
    path: Path | str,
    *words: str,
    state: str | None = "finished",
    scores: dict[int, dict[str, float]] | None = None,
    logged: dict[str, float] | None = None,
    config: dict[str, Any] | None = None,
    **status: Any,
) -> RunDir:
    """A run with the configuration of `words` (and the dotted keys of `config`), which are quicker to set.

    `scores` are those of evaluations in training, by step and name. `status` are more keys of status.json.
    """
    run = RunDir(path)
    run.checkpoints.mkdir(parents=True)
    plain = copy.deepcopy(_plain(words))
    config = {"best_metric": "fid", **(config or {})}  # a run that has begun names its score
    for network in ("generator", "discriminator") if "lr" in config else ():  # which take it, unless told otherwise
        config.setdefault(f"optimizer.{network}.lr", config["lr"])
    for key, value in config.items():
        *parents, last = key.split(".")
        node = plain
        for parent in parents:
            node = node[parent]
        node[last] = value
    run.config.write_text(yaml_text(plain))
    step = leaves(plain)["steps"]
    means = {"loss/discriminator": 1.0, "loss/generator": 0.8, **(logged or {})}
    lines = [{"step": step, **means}]
    for at, found in (scores or {}).items():
        lines.append({"step": at, **{f"evaluation/{name}": value for name, value in found.items()}})
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.environment.write_text(json.dumps({"device": "CPU, 1 thread", "packages": {"torch": "2.14"}}))
    if state is not None:
        known = {"state": state, "step": step, "reason": None, "metrics": means, "doctor": [VERDICT]}
        known |= {"pid": os.getpid(), "host": socket.gethostname()} if state == "running" else {"train_seconds": 12.5}
        run.status.write_text(json.dumps({**known, **status}))
    return run


def write_evaluation(run: RunDir, step: int, scores: dict[str, list[float]], **protocol: Any) -> None:
    """As `gan-exp evaluate` does: values over seeds by the scores' names."""
    metrics = {
        name: {"mean": sum(values) / len(values), "sd": 0.1 if len(values) > 1 else None, "values": values}
        for name, values in scores.items()
    }
    known = {
        "features": {"name": "cnn", "digest": "abc"},
        "samples": 10_000,
        "reals": 1797,
        "split": "train",
        "seeds": list(range(len(next(iter(scores.values()))))),
        "dataset": "digits",
        "data_digest": "d1",
    }
    report = {"format": 1, "step": step, "metrics": metrics, "protocol": {**known, **protocol}}
    run.evaluation(step, "cnn").write_text(json.dumps(report))
