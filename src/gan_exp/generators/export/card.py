"""The model card of an exported generator, in Markdown: what it is, samples, data, settings, figures, limits, use."""

from typing import Any, NamedTuple

import torch

from gan_exp.comparison.evaluations import Evaluation
from gan_exp.comparison.records import RunRecord, score_of
from gan_exp.config.catalog import describe, groups, settings_of
from gan_exp.data.packed import to_uint8
from gan_exp.display.images import encode_png, image_grid, scatter_plot
from gan_exp.generators.export.about import is_place
from gan_exp.generators.export.markdown import bullets, code, python, table
from gan_exp.generators.export.onnx_file import OPSET
from gan_exp.generators.export.use import lines_of_use, lines_with_this_project
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.report import words
from gan_exp.report.settings import differing, settings
from gan_exp.runtime.words import plural

COLUMNS, ROWS = 8, 5  # of the grid of samples
MOST_ROWS = 10  # a row for each class, if there are no more
POINTS = 5000  # in a plot
KINDS = {
    "onnx": f"ONNX, opset {OPSET}",
    "torch": "a program of torch.export, on the CPU",
    "safetensors": "safetensors: the weights alone",
}
COLOURS = {1: "gray", 3: "colour", 4: "transparent colour"}


def sample_grid(trained: TrainedGenerator) -> bytes:
    """The first samples of seed 0 as a PNG: a row for each class, if there are few; points as a plot."""
    if trained.spec.extent is not None:
        indices = range(POINTS)
        points = trained.images(trained.latents(0, indices), trained.labels(indices))
        return encode_png(scatter_plot(points, trained.spec.extent))
    rows = _rows(trained)
    labels = torch.arange(rows).repeat_interleave(COLUMNS) % trained.spec.num_classes if trained.conditional else None
    images = trained.images(trained.latents(0, range(rows * COLUMNS)), labels)
    return encode_png(image_grid(to_uint8(images), rows, COLUMNS))


def _rows(trained: TrainedGenerator) -> int:
    return min(len(trained.class_names), MOST_ROWS) or ROWS


class Exported(NamedTuple):
    """A file that the card is about, and the picture of its samples: names beside the card."""

    kind: str  # of `formats.FORMATS`
    file: str
    picture: str
    checked: str  # what the check after writing found


def model_card(trained: TrainedGenerator, record: RunRecord, about: dict[str, Any], exported: Exported) -> str:
    """The text. `about` is what the file says about itself."""
    parts = [
        f"# {about['name']}: the generator of a GAN",
        _what_it_is(trained, about, exported.file),
        f"![samples]({exported.picture})",
        _about_samples(trained),
        *_use(about, exported),
        *_data(about),
        *_training(record, about),
        *_figures(record, about),
        *_limits(record, about),
        *_versions(record, about),
    ]
    return "\n\n".join(parts) + "\n"


def _what_it_is(trained: TrainedGenerator, about: dict[str, Any], file: str) -> str:
    channels, height, width = about["image_shape"]
    what = f"{COLOURS.get(channels, f'{channels}-channel')} images of {height}x{width} pixels"
    if about["extent"] is not None:
        what = "points of the plane"
    asked = ", of the class that it is asked for" if about["num_classes"] else ""
    weights = "moving averages of the trained ones" if about["averaged"] else "the trained ones, not an average"
    parameters = sum(value.numel() for value in trained.network.parameters())
    return (
        f"{code(file)} turns vectors of {plural(about['latent_dim'], 'random number')} into {what} that resemble "
        f"the data set {code(about['dataset'])}{asked}. It is the generator of a GAN of the kind "
        f"{code(trained.config.model.name)} after {plural(about['step'], 'training step')}. Its {parameters:,} "
        f"weights are {weights}."
    )


def _about_samples(trained: TrainedGenerator) -> str:
    if trained.spec.extent is not None:
        return f"{POINTS:,} samples with the seed 0, brighter where they are dense."
    rows = _rows(trained)
    text = f"The first {rows * COLUMNS} samples with the seed 0; none was left out."
    if trained.conditional:
        names = ", ".join(map(code, trained.class_names[:rows]))
        more = f" (of {len(trained.class_names)} classes)" if len(trained.class_names) > rows else ""
        text += f" A row for each class, from the top: {names}{more}."
    return text


def _use(about: dict[str, Any], exported: Exported) -> list[str]:
    rows = [
        ["file", KINDS[exported.kind]],
        ["input", code(about["input"])],
        ["output", code(about["output"]) + (", from -1 (black) to 1 (white)" if about["range"] else ", coordinates")],
    ]
    named = [f"{number}: {code(name)}" for number, name in enumerate(about["class_names"]) if str(number) != name]
    if named:
        rows.append(["labels", ", ".join(named)])
    parts = ["## How to use it", table(["", ""], rows), python(lines_of_use(exported.kind, exported.file, about))]
    if exported.kind == "safetensors":
        parts += [
            "The names of the weights are those of the layers. With gan-exp installed they are a network again:",
            python(lines_with_this_project(exported.file, about)),
        ]
    return [*parts, f"After writing, the file was checked: {exported.checked}."]


def _data(about: dict[str, Any]) -> list[str]:
    path, licence = groups()["dataset"].get(about["dataset"]), about["dataset_license"]
    known = "" if path is None else f" ({describe(path).partition(';')[0]})"
    if about["dataset"] == "folder":  # its description speaks to the one who trains
        known = " (a folder of images)"
    stated = "not stated" if licence is None else code(licence)
    for setting in () if path is None else settings_of(path):
        if setting.key == "license" and setting.default == licence:
            stated += f" ({setting.comment})"
    return [
        "## Data",
        f"It was trained on {code(about['dataset'])}{known}. Licence of the data set: {stated}. This card does not say "
        f"what follows from that for the file and for what it makes.",
    ]


def _training(record: RunRecord, about: dict[str, Any]) -> list[str]:
    device = dict(words.environment([record])).get("device")
    on = f" on {device}" if device else ""
    changed = differing(settings(record.configuration))
    chosen = [[code(key), code(value)] for key, value in changed if not is_place(key)]
    return [
        "## Training",
        *([f"```\n{about['command']}\n```"] if about["command"] else []),
        *([f"The run took {words.duration(record.seconds)}{on}."] if record.seconds is not None else []),
        "These settings are not the defaults of gan-exp:" if chosen else "All settings are the defaults of gan-exp.",
        *([table(["setting", "value"], chosen)] if chosen else []),
    ]


def _figures(record: RunRecord, about: dict[str, Any]) -> list[str]:
    title = "## Measured"
    measured = [one for one in record.evaluations if one.step == about["step"]]
    if not about["averaged"] and float(record.configuration.get("ema_halflife_kimg") or 0) > 0:
        return [title, "Nothing: evaluations of the run are of its averaged generator, which this is not."]
    if not measured:
        others = sorted({one.step for one in record.evaluations})
        some = f"; it has evaluations of the steps {', '.join(f'{step:,}' for step in others)}" if others else ""
        return [title, f"Nothing: the run has no evaluation of this step{some}."]
    reports = {one["features"]: one for one in words.evaluations(record.path) if one["step"] == about["step"]}
    parts = [part for one in measured for part in _evaluation(one, reports)]
    return [title, *parts, "Scores of another protocol can't be compared with these."]


def _evaluation(evaluation: Evaluation, reports: dict[str, dict[str, Any]]) -> list[str]:
    protocol = evaluation.protocol
    report = {} if protocol.in_training else reports.get(protocol.features, {})
    of_data = {one["tag"]: one["data"] for one in report.get("scores", ())}
    rows = []
    for tag, value in evaluation.scores.items():
        score = score_of(tag)
        spread = "" if value.sd is None else f" ± {words.number(value.sd)}"
        known = ("", "") if score is None else (score.better or "", score.meaning)
        rows.append([code(tag), (words.number(value.mean) or "infinite") + spread, of_data.get(tag, ""), *known])
    over = " (± is the standard deviation over the seeds)" if any(" ± " in row[1] for row in rows) else ""
    measured = f"by gan-exp evaluate, features {protocol.features} {protocol.digest}: {report.get('summary')}"
    return [
        f"Measured {measured if report else protocol}{over}.",
        table(["score", "this generator", "real data", "better", "meaning"], rows),
    ]


def _limits(record: RunRecord, about: dict[str, Any]) -> list[str]:
    _, height, width = about["image_shape"]
    only = "It makes nothing but points like those of its data."
    if about["extent"] is None:
        only = f"It makes only images of {height}x{width} pixels, and only such as its training data suggest."
    lines = [only, "Whatever is one-sided or wrong in the data can come back in what it makes."]
    if record.state != "finished":
        lines.append(f"The run did not end as planned: {record.state} at step {record.step:,} of {record.steps:,}.")
    lines += [
        f"`gan-exp doctor` said at step {record.step:,}: {one.title} ({one.evidence}). {one.meaning}"
        for one in record.verdicts
    ]
    if any("spread" in one.evidence for one in record.verdicts):
        lines.append("One spread is the mean distance between two images of the data.")
    return ["## Limits", bullets(lines)]


def _versions(record: RunRecord, about: dict[str, Any]) -> list[str]:
    found: dict[str, dict[str, str]] = about["versions"]
    names = dict.fromkeys(name for versions in found.values() for name in versions)
    rows = [[name, *(found[when].get(name, "") for when in ("trained", "exported"))] for name in names]
    return ["## Versions", table(["", "trained with", "exported with"], rows)]
