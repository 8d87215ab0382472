"""What TensorBoard shows of many runs: settings that differ, scores that there are, and one layout of charts.

TensorBoard takes the settings, scores and charts of one of the runs for those of all, and has no option for that: its
functions are replaced. Where another version of TensorBoard lacks one of them, it shows what it would.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard import plugin_util
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.backend_context import Context

from gan_exp.runs.charts import HPARAM_METRICS, LAYOUT

# Charts below those of the training, each where some run has such scores: a title, and the tags as regular expressions.
SCORES = {
    "panel": "evaluation/panel$",
    "recognised": "evaluation/recognised$",
    "FID": "evaluation/fid_",
    "modes": "evaluation/modes$",
    "high quality": "evaluation/high_quality$",
    "the best so far": "best/",
}
FIRST = ("panel", "recognised", "fid", "modes", "high_quality")  # scores in the table of hyperparameters
LAST = ("panel_", "kid_subset")  # of all scores there


def show_many_runs() -> None:
    """Replace TensorBoard's functions, for this process."""
    if hasattr(Context, "experiment_from_metadata"):
        original = Context.experiment_from_metadata

        def of_all(self: Any, ctx: Any, experiment_id: str, metrics: bool, runs: Any, *others: Any) -> Any:
            experiment = original(self, ctx, experiment_id, metrics, runs, *others)
            limit = others[1] if len(others) > 1 else None
            infos = hyperparameters_of_all(self, runs)[: limit or None]
            experiment.ClearField("hparam_infos")
            experiment.hparam_infos.extend(infos)
            if metrics:
                experiment.ClearField("metric_infos")
                experiment.metric_infos.extend(scores_of_all(self.scalars_metadata(ctx, experiment_id)))
            return experiment

        Context.experiment_from_metadata = of_all
    if hasattr(CustomScalarsPlugin, "layout_impl"):

        def layout_of_all(self: Any, ctx: Any, experiment: str) -> str:
            scalars = self._data_provider.list_scalars(ctx, experiment_id=experiment, plugin_name="scalars")
            charts: str = plugin_util.proto_to_json(layout(tag for tags in scalars.values() for tag in tags))
            return charts

        CustomScalarsPlugin.layout_impl = layout_of_all


def hyperparameters_of_all(context: Context, runs: Mapping[str, Mapping[str, bytes]]) -> list[api_pb2.HParamInfo]:
    """Those that differ or that some run lacks, those of the fewest dots first: lr, model, seed. If none does, all.

    TensorBoard's table shows the first five. All of a run's settings are in the tab Text.
    """
    start_tag = metadata.SESSION_START_INFO_TAG
    starts = [
        metadata.parse_session_start_info_plugin_data(tags[start_tag]) for tags in runs.values() if start_tag in tags
    ]
    infos = context._compute_hparam_infos(runs)
    order = {}
    for info in infos:
        values = [start.hparams[info.name] for start in starts if info.name in start.hparams]
        if len({value.WhichOneof("kind") for value in values}) > 1:
            info.ClearField("domain_discrete")  # runs whose value is a number would be filtered out
        order[info.name] = (not info.differs, info.name.count("."), info.name)
        info.differs |= len(values) < len(starts)
    infos.sort(key=lambda info: order[info.name])
    return [info for info in infos if info.differs] or infos


def scores_of_all(scalars: Mapping[str, Iterable[str]]) -> list[api_pb2.MetricInfo]:
    """The scalars that some run has: best and last scores, then losses. TensorBoard shows the first ones at once."""
    tags = {tag for tags in scalars.values() for tag in tags if tag.startswith(("best/", "evaluation/"))}
    tags |= {tag for tags in scalars.values() for tag in tags if tag in HPARAM_METRICS}
    return [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in sorted(tags, key=_rank)]


def _rank(tag: str) -> tuple[int, int, str]:
    group, _, name = tag.partition("/")
    if group not in ("best", "evaluation"):
        return 2, HPARAM_METRICS.index(tag), tag
    if name.startswith(LAST):
        return 1, 0, tag
    place = next(
        (place for place, first in enumerate(FIRST) if name == first or name.startswith(f"{first}_")), len(FIRST)
    )
    return 0, 0 if group == "best" else 1 + place, tag


def layout(tags: Iterable[str]) -> layout_pb2.Layout:
    """The charts of runs that have `tags`, whatever layout their version wrote."""
    tags = set(tags)
    scores = {title: [tag] for title, tag in SCORES.items() if any(re.match(tag, found) for found in tags)}
    rows = LAYOUT | ({"evaluation": scores} if scores else {})
    found = layout_pb2.Layout()
    for row, charts in rows.items():
        category = found.category.add(title=row)
        for title, lines in charts.items():
            category.chart.add(title=title, multiline=layout_pb2.MultilineChartContent(tag=lines))
    return found
