"""A run's evaluations, environment and commands in words, for the page about one run and the page about many."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_exp.comparison.records import RunRecord, score_of
from gan_exp.config.overrides import as_written
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.runs.metrics_log import read_metrics
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import SWEEP_FILE
from gan_exp.runtime.words import plural

Pairs = list[tuple[str, str]]


def number(value: Any) -> str:
    """Four digits of a number; empty for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def logged(path: Path) -> list[dict[str, float]]:
    """The records that the run has written while it trained; none if they can't be read."""
    try:
        lines = read_metrics(RunDir(path).metrics)
    except OSError:
        return []
    return [line for line in lines if isinstance(line, dict) and isinstance(line.get("step"), int)]


def log_of(path: Path) -> str:
    return str(RunDir(path).log.resolve()) if RunDir(path).log.exists() else ""


def evaluations(path: Path) -> list[dict[str, Any]]:
    """What `gan-exp evaluate` has written, the newest step first."""
    found = []
    for file in RunDir(path).list_evaluations():
        try:
            found.append(_evaluation(json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # another kind of file
    return sorted(found, key=lambda one: -int(one["step"]))


def _evaluation(report: Mapping[str, Any]) -> dict[str, Any]:
    protocol = dict(report["protocol"])
    features, seeds = protocol["features"], protocol.get("seeds", [])
    scores = []
    for tag, value in report["metrics"].items():
        score = score_of(tag)
        scores.append({
            "tag": tag,
            "mean": number(value["mean"]) or "infinite",
            "sd": number(value.get("sd")),
            "data": number(value.get("data")),
            "better": (score.better if score else None) or "",
            "meaning": value.get("reason") or (score.meaning if score else ""),
        })  # fmt: skip
    many = plural(len(seeds), "seed")
    against = f"against {number(protocol.get('reals')) or 'unknown'} images of {protocol.get('dataset')}"
    summary = f"{number(protocol.get('samples'))} samples, {many}, {against} ({protocol.get('split')})"
    return {
        "step": int(report["step"]),
        "features": str(features["name"]),
        "summary": summary,
        "scores": scores,
        "protocol": flat(protocol),
    }


def flat(node: Mapping[str, Any], prefix: str = "") -> Pairs:
    """Nested values as (name, text)."""
    rows: Pairs = []
    for key, value in node.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += flat(value, f"{name}: ")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            rows.append((name, ", ".join(str(one.get("name", one)) for one in value if isinstance(one, Mapping))))
        else:
            rows.append((name, _plain(value)))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else number(value) or str(value)


def environment(records: Sequence[RunRecord]) -> Pairs:
    """The machine and the versions; where runs differ, every value with the number of its runs."""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        for name, value in _environment(record.environment or {}):
            values = found.setdefault(name, {})
            values[value] = values.get(value, 0) + 1
    return [
        (name, next(iter(values)) if list(values.values()) == [len(records)] else _counted(values))
        for name, values in found.items()
    ]


def _counted(values: Mapping[str, int]) -> str:
    return "; ".join(f"{value} ({plural(count, 'run')})" for value, count in values.items())


def _environment(plain: Mapping[str, Any]) -> Pairs:
    packages = plain.get("packages")
    versions = [("gan-exp", plain.get("gan_exp")), ("Python", plain.get("python"))]
    versions += list(packages.items()) if isinstance(packages, Mapping) else []
    rows = [
        ("device", plain.get("device")),
        ("CUDA", plain.get("cuda")),
        ("threads", plain.get("threads")),
        ("platform", plain.get("platform")),
        ("git commit", _commit(plain.get("git"))),
        *versions,
    ]
    return [(str(name), str(value)) for name, value in rows if value is not None]


def _commit(git: Any) -> str | None:
    if not isinstance(git, Mapping) or "commit" not in git:
        return None
    changed = git.get("changed_files")
    return f"{git['commit']}" + (
        f", with {plural(changed, 'changed file')}" if isinstance(changed, int) and changed else ""
    )


def training_words(record: RunRecord) -> list[str] | None:
    """The overrides that the run was trained with; None if they aren't known in full."""
    words = (record.environment or {}).get("command")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    if any(word.startswith("-") or "=" not in word for word in words):
        return None
    return [as_written(word) for word in words if not word.startswith(("hydra.", "display="))]


def sweep_words(sweep: Path) -> list[str] | None:
    """The words of `gan-exp train -m` that began the sweep; None if its record can't be read."""
    try:
        plain = read_yaml((sweep / SWEEP_FILE).read_text(encoding="utf-8"))
        words = plain["hydra"]["overrides"]["task"]
        return [as_written(str(word)) for word in words if not str(word).startswith(("hydra.", "display="))]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def commands(record: RunRecord, reports: Iterable[Mapping[str, Any]]) -> Pairs:
    """(what it does, command) for one run."""
    found: Pairs = []
    git = (record.environment or {}).get("git")
    if isinstance(git, Mapping) and git.get("commit"):
        changed = ", whose files had changes that are not in it" if git.get("changed_files") else ""
        found.append((f"The working directory was at this commit{changed}:", f"git checkout {git['commit']}"))
    place = shlex.quote(str(record.path.resolve()))
    words = training_words(record)
    if words is not None:
        found.append(("Train it anew:", f"gan-exp train {shlex.join(words)}".rstrip()))
    if any(True for _ in reports):
        found.append(("Measure it again:", f"gan-exp evaluate {place}"))
    found.append(("Draw samples, or train on:", f"gan-exp sample {place}\ngan-exp resume {place}"))
    return found
