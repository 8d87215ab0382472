"""The page about one run."""

from typing import Any

from gan_exp.comparison.metric_names import usual_metric
from gan_exp.comparison.records import RunRecord, score_of
from gan_exp.report import images, thinning, words
from gan_exp.report.charts import chart_sections
from gan_exp.report.left_out import left_out
from gan_exp.report.page import render
from gan_exp.report.settings import differing, settings
from gan_exp.runs.run_dir import RunDir

STILLS = 6  # small pictures below the large one


def page_of_one(record: RunRecord, made: str = "") -> str:
    run = RunDir(record.path)
    curves = thinning.collect([words.logged(record.path)])
    samples = images.collect([run.list_sample_grids()])
    evaluations = words.evaluations(record.path)
    context = {
        "title": record.name,
        "made": made,
        "run": _about(record, evaluations),
        "has_curves": bool(curves.runs[0]),
        "sample_count": len(samples.steps),
        "stills": _stills(samples),
        "left_out": left_out(curves, samples),
        "navigation": _navigation(bool(samples.steps), bool(curves.runs[0]), bool(evaluations)),
    }
    data = {
        "many": False,
        "runs": [{"name": record.name, "values": {}}],
        "groups": [{"name": record.name, "runs": [0]}],
        "steps": curves.steps,
        "series": curves.runs,
        "sections": chart_sections(curves.runs[0], curves.spans, False, usual_metric([record])),
        "samples": {"steps": samples.steps, "runs": samples.runs},
    }
    return render("run.html", context, data, samples.uris)


def _about(record: RunRecord, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    rows = settings(record.configuration)
    facts = [] if record.seconds is None else [words.duration(record.seconds)]
    kimg = record.logged.get("progress/kimg")
    facts += [] if kimg is None else [f"{words.number(float(kimg))} thousand images seen"]
    return {
        "name": record.name,
        "place": str(record.path.resolve()),
        "state": record.state,
        "step": f"{record.step:,}",
        "steps": f"{record.steps:,}",
        "reason": record.reason if record.state == "failed" else None,
        "words": facts,
        "verdicts": record.verdicts,
        "scores": _scores(record),
        "settings": rows,
        "differing": differing(rows),
        "evaluations": evaluations,
        "environment": words.environment([record]),
        "commands": words.commands(record, evaluations),
    }


def _scores(record: RunRecord) -> dict[str, Any] | None:
    """The newest scores without details, for a first look."""
    newest = record.evaluation()
    if newest is None:
        return None
    rows = [
        (tag, words.number(value.mean) or "infinite", "" if value.sd is None else f"± {value.sd:.2g}", _better(tag))
        for tag, value in newest.scores.items()
        if (score := score_of(tag)) is None or not score.detail
    ]
    return {"step": f"{newest.step:,}", "rows": rows, "protocol": str(newest.protocol)}


def _better(tag: str) -> str:
    score = score_of(tag)
    return f"{score.better} is better" if score is not None and score.better else ""


def _stills(samples: images.Samples) -> list[tuple[int, str]]:
    """(place among the steps, step) of a few grids from the first to the last."""
    shown = images.evenly([place for place, number in enumerate(samples.runs[0]) if number is not None], STILLS)
    return [(place, f"{samples.steps[place]:,}") for place in shown]


def _navigation(samples: bool, curves: bool, evaluations: bool) -> list[tuple[str, str]]:
    return [
        *([("samples", "Samples")] if samples else []),
        ("doctor", "Doctor"),
        *([("curves", "Curves")] if curves else []),
        *([("evaluations", "Evaluations")] if evaluations else []),
        ("configuration", "Configuration"),
        ("environment", "Environment"),
        ("commands", "Commands"),
    ]
