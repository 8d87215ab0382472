"""Compares a run that was stopped and resumed with one that was never stopped, to the last bit."""

import json
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from builders import assert_same
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir

TIMING = "progress/images_per_sec"  # the only tag whose value depends on speed


def differences(whole: Path, resumed: Path, only_last: bool = False) -> list[str]:
    """A sentence for each difference between two runs' directories.

    `resumed` may have older checkpoints that `whole` has not: one that was about to be removed, or one that a signal
    saved, which can replace another one (`only_last`).
    """
    first, second = RunDir(whole), RunDir(resumed)
    found = _checkpoints(first, second, only_last)
    found += _metrics(first, second)
    found += _events(first, second)
    for path in (*(path for _, path in first.list_sample_grids()), first.animation):
        other = second.samples / path.name
        if not other.exists() or other.read_bytes() != path.read_bytes():
            found.append(f"samples/{path.name} {'differs' if other.exists() else 'is missing'}")
    status = second.read_status()
    if (status.get("state"), status.get("step")) != ("finished", first.read_status()["step"]):
        found.append(f"the status is {status}")
    found_names, wanted = _names(second), _names(first)
    if found_names != wanted:
        found.append(f"left over: {sorted(found_names - wanted)}, missing: {sorted(wanted - found_names)}")
    return found


def _names(run: RunDir) -> set[str]:
    """All files except checkpoints and those that differ between processes."""
    excepted = {run.lock, run.log, *(path for _, path in run.list_checkpoints())}
    files = {path for path in run.path.rglob("*") if path.is_file() and run.tensorboard not in path.parents}
    return {str(path.relative_to(run.path)) for path in files - excepted}


def _checkpoints(first: RunDir, second: RunDir, only_last: bool) -> list[str]:
    kept, others = dict(first.list_checkpoints()), dict(second.list_checkpoints())
    last = max(kept)
    wanted = {last} if only_last else kept.keys()
    if max(others, default=None) != last or not wanted <= others.keys():
        return [f"checkpoints of the steps {sorted(others)} instead of {sorted(kept)}"]
    found = []
    for step in kept.keys() & others.keys():
        try:
            assert_same(load_checkpoint(kept[step]), load_checkpoint(others[step]), f"the checkpoint of step {step}, ")
        except AssertionError as error:
            found.append(str(error).splitlines()[0])
    return found


def _metrics(first: RunDir, second: RunDir) -> list[str]:
    try:
        lines, others = ([_untimed(line) for line in run.metrics.read_text().splitlines()] for run in (first, second))
    except ValueError as error:
        return [f"metrics.jsonl can't be read: {error}"]
    if lines == others:
        return []
    return [f"metrics.jsonl has the steps {[line['step'] for line in others]}, or other values at them"]


def _untimed(line: str) -> dict[str, float]:
    values: dict[str, float] = json.loads(line)
    values.pop(TIMING, None)
    return values


def _events(first: RunDir, second: RunDir) -> list[str]:
    points, others = _points(first), _points(second)
    wrong = [tag for tag in points.keys() | others.keys() if points.get(tag) != others.get(tag)]
    return [f"TensorBoard's {tag}: steps {[step for step, *_ in others.get(tag, [])]}" for tag in sorted(wrong)]


def _points(run: RunDir) -> dict[str, list[Any]]:
    """(step, value) by tag, as TensorBoard itself reads them: scalars, pictures, histograms, the configuration."""
    kinds = ("scalars", "images", "histograms", "tensors")
    events = EventAccumulator(str(run.tensorboard), size_guidance=dict.fromkeys(kinds, 0))
    events.Reload()
    tags: dict[str, Any] = events.Tags()
    found: dict[str, list[Any]] = {}
    for tag in tags["scalars"]:
        found[tag] = [(event.step, event.value if tag != TIMING else None) for event in events.Scalars(tag)]
    for tag in tags["images"]:
        found[tag] = [(event.step, event.encoded_image_string) for event in events.Images(tag)]
    for tag in tags["histograms"]:
        found[tag] = [(event.step, event.histogram_value) for event in events.Histograms(tag)]
    for tag in tags["tensors"]:
        found[tag] = [(event.step, event.tensor_proto.string_val) for event in events.Tensors(tag)]
    return found
