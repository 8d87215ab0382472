"""What TensorBoard itself answers over runs whose settings differ, read from real event files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar import custom_scalars_plugin
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context

from builders import small_config
from gan_exp.commands.board import show_many_runs
from gan_exp.runs.charts import LAYOUT
from gan_exp.runs.tensorboard import TensorBoardLog


@pytest.fixture(autouse=True)
def many_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:  # puts back what is replaced below
        patched.setattr(Context, "experiment_from_metadata", Context.experiment_from_metadata)
        plugin = custom_scalars_plugin.CustomScalarsPlugin
        patched.setattr(plugin, "layout_impl", plugin.layout_impl)
        show_many_runs()
        yield


def write(name: str, *words: str, layout: bool = True, **scalars: float) -> None:
    log = TensorBoardLog(Path(name))
    if layout:
        log.add_layout()
    log.add_hyperparameters(small_config("mlp", *words).model_dump())
    for step in (10, 20):
        log.add_scalars({tag.replace("__", "/"): value * step for tag, value in scalars.items()}, step)
    log.close()


def reader(*names: str) -> TBContext:
    multiplexer = EventMultiplexer()
    for name in names:
        multiplexer.AddRun(name, name)
    multiplexer.Reload()
    return TBContext(data_provider=MultiplexerDataProvider(multiplexer, "."), plugin_name_to_instance={})


def shown(context: TBContext) -> tuple[api_pb2.Experiment, dict[str, api_pb2.SessionGroup]]:
    """The columns of the table, and its rows by the run's name, filtered as TensorBoard's page does."""
    experiment = get_experiment.Handler(RequestContext(), Context(context), "", api_pb2.GetExperimentRequest()).run()
    asked = api_pb2.ListSessionGroupsRequest(allowed_statuses=list(range(4)), slice_size=100)
    for info in experiment.hparam_infos:
        column = asked.col_params.add(hparam=info.name)
        if len(info.domain_discrete):
            column.filter_discrete.extend(list(info.domain_discrete))
    groups = list_session_groups.Handler(RequestContext(), Context(context), "", asked).run().session_groups
    return experiment, {group.name: group for group in groups}


def value_of(group: api_pb2.SessionGroup, key: str) -> Any:
    value = group.hparams[key]
    return getattr(value, value.WhichOneof("kind"))


def test_all_that_was_swept_has_its_values_beside_the_last_scores(in_tmp: Path) -> None:
    """Also what only some of the runs have, and values of different types; nothing else is a column."""
    scores = {"best__fid_cnn": 1.0, "evaluation__fid_cnn": 1.5, "evaluation__panel": 30.0, "evaluation__panel_cnn": 7.0}
    write("a", "lr=1e-3", "seed=1", "conditional=true", **scores)
    write("b", "lr=2e-4", "penalty=r1", "dataset.resize=8", **scores, loss__generator=0.25, loss__discriminator=1.0)
    write("c", "lr=2e-4", "dataset.resize=[8,8]")
    experiment, rows = shown(reader("a", "b", "c"))
    names = [info.name for info in experiment.hparam_infos]
    assert names == ["conditional", "lr", "penalty", "seed", "dataset.resize", "penalty.every", "penalty.gamma"]
    assert all(info.differs for info in experiment.hparam_infos)
    assert set(rows) == {"a", "b", "c"}
    assert value_of(rows["a"], "lr") == 1e-3 and value_of(rows["c"], "lr") == 2e-4
    assert value_of(rows["a"], "seed") == 1 and value_of(rows["b"], "seed") == 0
    assert value_of(rows["a"], "conditional") == "true" and value_of(rows["b"], "conditional") == "false"
    assert value_of(rows["a"], "penalty") == "none" and value_of(rows["b"], "penalty") == "R1"
    assert value_of(rows["b"], "dataset.resize") == 8 and value_of(rows["c"], "dataset.resize") == "[8, 8]"
    assert [info.name.tag for info in experiment.metric_infos] == [
        "best/fid_cnn",
        "evaluation/panel",
        "evaluation/fid_cnn",
        "evaluation/panel_cnn",
        "loss/discriminator",
        "loss/generator",
    ]
    found = {metric.name.tag: metric.value for metric in rows["a"].metric_values}
    assert found == {"best/fid_cnn": 20, "evaluation/fid_cnn": 30, "evaluation/panel": 600, "evaluation/panel_cnn": 140}
    assert not rows["c"].metric_values


def test_of_equal_runs_all_settings_are_shown(in_tmp: Path) -> None:
    write("a")
    write("b")
    experiment, rows = shown(reader("a", "b"))
    assert {"lr", "seed", "model", "loss"} < {info.name for info in experiment.hparam_infos} and len(rows) == 2


def test_models_are_told_apart_by_one_column(in_tmp: Path) -> None:
    """Their many settings come behind what has a short name."""
    write("a", "lr=1e-3")
    log = TensorBoardLog(Path("b"))
    log.add_hyperparameters(small_config("dcgan", "lr=2e-3").model_dump())
    log.close()
    names = [info.name for info in shown(reader("a", "b"))[0].hparam_infos]
    assert names[:2] == ["lr", "model"] and "model.generator" in names


def test_one_layout_whatever_the_runs_wrote(in_tmp: Path) -> None:
    write("a", loss__generator=1.0)
    write("b", layout=False, loss__generator=1.0, evaluation__fid_pixels=1.0, evaluation__panel_pixels=2.0)
    plugin = custom_scalars_plugin.CustomScalarsPlugin(reader("a"))
    categories = json.loads(plugin.layout_impl(RequestContext(), ""))["category"]
    assert {category["title"]: [chart["title"] for chart in category["chart"]] for category in categories} == {
        row: list(charts) for row, charts in LAYOUT.items()
    }
    plugin = custom_scalars_plugin.CustomScalarsPlugin(reader("a", "b"))
    categories = json.loads(plugin.layout_impl(RequestContext(), ""))["category"]
    assert [category["title"] for category in categories] == [*LAYOUT, "evaluation"]
    assert [chart["title"] for chart in categories[-1]["chart"]] == ["FID"]  # no member of the panel is the panel
