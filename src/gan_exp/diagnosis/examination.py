"""A run's verdicts from what lies in its directory: metrics.jsonl, evaluations beside the checkpoints, status.json."""

import json
from collections.abc import Mapping
from typing import Any

from gan_exp.diagnosis.divergence import DIVERGED, OLDER, likely_cause
from gan_exp.diagnosis.history import UNSEEN, Record
from gan_exp.diagnosis.settings import settings_of
from gan_exp.diagnosis.verdicts import Verdict, diagnose, diverged
from gan_exp.runs.metrics_log import read_metrics
from gan_exp.runs.run_dir import RunDir


def examine(run_dir: RunDir, config: Mapping[str, Any] | None = None) -> tuple[list[Record], tuple[Verdict, ...]]:
    """The run's records, and the verdicts at their end; `config` is the run's if it has been read already."""
    config = run_dir.read_config() if config is None else config
    settings = settings_of(config, run_dir.read_environment().get("traits"))
    records, status = read_records(run_dir), run_dir.read_status()
    reason = str(status.get("reason") or "")
    if status.get("state") == "failed" and (DIVERGED in reason or OLDER in reason):
        last = next((record for record in reversed(records) if "loss/generator" in record), {})
        return records, (diverged(reason, likely_cause(settings, last)[1]),)
    return records, diagnose(settings, records)


def read_records(run_dir: RunDir) -> list[Record]:
    """The records that the run wrote, and the scores from `gan-exp evaluate`, in the order of the steps."""
    lines = read_metrics(run_dir.metrics) if run_dir.metrics.exists() else []
    records: list[Record] = [line for line in lines if isinstance(line, dict) and isinstance(line.get("step"), int)]
    for path in run_dir.list_evaluations():
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            scores = {
                f"evaluation/{name}": float(value["mean"])
                for name, value in report["metrics"].items()
                if value["mean"] is not None  # it was infinite
            }
            unseen = report.get("protocol", {}).get("held_out")
            about = {UNSEEN: float(unseen)} if isinstance(unseen, int) else {}
            records.append({"step": int(report["step"]), **scores, **about})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # another kind of file
    return sorted(records, key=lambda record: record["step"])
