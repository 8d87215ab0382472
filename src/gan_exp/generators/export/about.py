"""What an exported file says about itself: the same keys in all formats."""

import shlex
from importlib.metadata import version
from typing import Any

from gan_exp import __version__
from gan_exp.comparison.records import RunRecord
from gan_exp.config.catalog import license_of
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.report.words import training_words
from gan_exp.runs.export import FORMAT

PLACES = ("root", "cache")  # the last parts of keys that hold paths of the machine


def describe(
    trained: TrainedGenerator, record: RunRecord, averaged: bool, licence: str | None = None
) -> dict[str, Any]:
    """Plain values for JSON. `averaged`: the weights are the moving average. `licence` of the data: None: the run's."""
    config, spec = trained.config, trained.spec
    num_classes = spec.num_classes if trained.conditional else 0
    labels = f"; labels [N] int64, from 0 to {num_classes - 1}" if num_classes else ""
    return {
        "format": FORMAT,
        "model": config.model.generator,
        "latent_dim": trained.latent_dim,
        "image_shape": list(spec.image_shape),
        "num_classes": num_classes,
        "class_names": list(trained.class_names),
        "extent": spec.extent,
        "input": f"latents [N, {trained.latent_dim}] float32, from N(0, 1){labels}",
        "output": f"images [N, {', '.join(map(str, spec.image_shape))}] float32",
        "range": [-1, 1] if spec.extent is None else None,
        "averaged": averaged,
        "step": trained.step,
        "name": config.name,
        "dataset": config.dataset["name"],
        "dataset_license": licence or license_of(config.dataset),
        "command": training_command(record),
        "version": __version__,
        "versions": versions(record),
    }


def training_command(record: RunRecord) -> str | None:
    """The command that trained the run, without the paths of its machine; None if it isn't known in full."""
    words = training_words(record)
    if words is None:
        return None
    return shlex.join(["gan-exp", "train", *map(_without_place, words)])


def _without_place(word: str) -> str:
    key = word.partition("=")[0]
    return f"{key}=..." if is_place(key) else word


def is_place(key: str) -> bool:
    return key.rpartition(".")[2] in PLACES


def versions(record: RunRecord) -> dict[str, dict[str, str]]:
    """With which the run was trained, and with which its generator is exported now."""
    environment = record.environment or {}
    packages = environment.get("packages")
    trained = {
        "gan-exp": environment.get("gan_exp"),
        "torch": packages.get("torch") if isinstance(packages, dict) else None,
    }
    return {
        "trained": {name: str(found) for name, found in trained.items() if found is not None},
        "exported": {"gan-exp": __version__, "torch": version("torch")},  # as in environment.json
    }
