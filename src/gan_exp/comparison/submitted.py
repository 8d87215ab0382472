"""Jobs on a cluster among the records of runs: those that wait, and those that ended before there was a run."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from gan_exp.comparison.records import RunRecord, natural
from gan_exp.config.overrides import leaves
from gan_exp.runs.run_names import is_sweep
from gan_exp.runs.submissions import Submission, list_submissions


def with_submitted(records: Iterable[RunRecord], places: Iterable[Path]) -> list[RunRecord]:
    """`records`, and one for each job submitted at and below `places` that has no run yet.

    A run whose job was stopped and is requeued waits as well. All are in the order of `places`, below each by path.
    """
    places = list(places)
    found = {Path(one.directory): one for place in places for one in list_submissions(place)}
    known = [(record, found.pop(record.path, None)) for record in records]
    requeued = [
        replace(record, state="waiting") if record.state == "stopped" and job is not None and job.waits else record
        for record, job in known
    ]
    if not found:
        return requeued
    return sorted([*requeued, *map(_record, found.values())], key=lambda record: _order(record, places))


def _order(record: RunRecord, places: Sequence[Path]) -> tuple[int, list[str | int]]:
    inside = (place == record.path or place in record.path.parents for place in places)
    return next((number for number, is_inside in enumerate(inside) if is_inside), len(places)), natural(record.path)


def _record(job: Submission) -> RunRecord:
    path = Path(job.directory)
    configuration = leaves(job.config)
    return RunRecord(
        path=path,
        name=path.name,
        state="failed" if job.state == "ended" else "waiting",
        step=0,
        steps=int(configuration.get("steps") or 0),
        configuration=configuration,
        logged={},
        reason=job.cause or None,
        sweep=path.parent if is_sweep(path.parent) else None,
        kept_verdicts=(),
    )
