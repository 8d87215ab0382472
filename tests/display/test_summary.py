"""The networks layer by layer, and the closing table."""

import io
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console, RenderableType

from builders import assert_same
from gan_exp.display.summary import closing_table, network_table, next_commands
from gan_exp.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_exp.models.mlp import MLPDiscriminator, MLPGenerator
from gan_exp.models.parts import LabelEmbedding
from gan_exp.models.resnet import ResNetDiscriminator
from gan_exp.runs.run_dir import RunDir


def rows(table: RenderableType, width: int = 100) -> list[list[str]]:
    written = io.StringIO()
    Console(file=written, width=width).print(table)
    return [re.split(r"\s{2,}", line.strip()) for line in written.getvalue().splitlines()]


def test_the_articles_generator_as_keras_prints_it() -> None:
    """The numbers of Keras' summary(), in which BatchNorm's moving averages are parameters."""
    title, header, *found = rows(network_table("generator", MLPGenerator(100, (1, 28, 28)), torch.zeros(1, 100)))
    assert title == ["generator"] and header == ["layer", "output", "parameters"]
    assert found == [
        ["Linear", "256", "25,856"],
        ["LeakyReLU", "256"],
        ["BatchNorm1d", "256", "1,024"],
        ["Linear", "512", "131,584"],
        ["LeakyReLU", "512"],
        ["BatchNorm1d", "512", "2,048"],
        ["Linear", "1024", "525,312"],
        ["LeakyReLU", "1024"],
        ["BatchNorm1d", "1024", "4,096"],
        ["Linear", "784", "803,600"],
        ["Tanh", "784"],
        ["all", "1,493,520"],
        ["of these trained", "1,489,936"],
    ]


def test_a_layer_of_the_project_has_a_plain_name() -> None:
    network = DCGANGenerator(4, (1, 8, 8), width=4, antialias=True)
    assert "Blur" in [row[0] for row in rows(network_table("generator", network, torch.zeros(1, 4)))]


def test_frozen_parameters_are_not_counted_as_trained() -> None:
    discriminator = MLPDiscriminator((1, 28, 28))
    discriminator.layers[0].requires_grad_(False)
    *_, total, trained = rows(network_table("discriminator", discriminator, torch.zeros(1, 1, 28, 28)))
    assert (total, trained) == (["all", "533,505"], ["of these trained", "131,585"])


def test_the_articles_discriminator_as_keras_prints_it() -> None:
    _, _, *found = rows(network_table("discriminator", MLPDiscriminator((1, 28, 28)), torch.zeros(1, 1, 28, 28)))
    assert found == [
        ["Flatten", "784"],
        ["Linear", "512", "401,920"],
        ["LeakyReLU", "512"],
        ["Linear", "256", "131,328"],
        ["LeakyReLU", "256"],
        ["Linear", "1", "257"],
        ["all", "533,505"],
    ]


def test_layers_whose_weights_are_used_without_a_call_are_listed_too() -> None:
    """As in a block that folds a halving into its convolution."""
    network = ResNetDiscriminator((1, 16, 16), width=4, plain_blocks=0, coarsest=8)
    assert rows(network_table("x", network, torch.zeros(1, 1, 16, 16)))[2:] == [
        ["Conv2d", "4 x 16 x 16", "40"],
        ["Conv2d", "148"],
        ["Conv2d", "4 x 8 x 8", "8"],
        ["Linear", "1", "5"],
        ["all", "201"],
    ]


@pytest.mark.parametrize(
    ("network", "example"),
    [
        (DCGANGenerator(8, (3, 45, 37), width=4), torch.zeros(1, 8)),
        (DCGANDiscriminator((3, 45, 37), width=4), torch.zeros(1, 3, 45, 37)),
        (MLPGenerator(8, (1, 4, 4), (6,)), torch.zeros(1, 8)),
    ],
)
def test_the_table_changes_nothing_in_the_network(network: torch.nn.Module, example: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    found = rows(network_table("x", network, example))
    assert_same({**network.state_dict()}, before)
    assert torch.equal(torch.get_rng_state(), random_state) and network.training
    assert not any(layer._forward_hooks for layer in network.modules())
    layers = [
        layer for layer in network.modules() if not list(layer.children()) and not isinstance(layer, LabelEmbedding)
    ]
    assert len([row for row in found if not row[0].startswith(("x", "layer", "all", "of these"))]) == len(layers)


def test_the_closing_table(in_tmp: Path) -> None:
    run = RunDir.create("outputs/[bold]run", {}, {})
    run.sample_grid(0).touch()
    run.sample_grid(500).touch()
    metrics = {"loss/discriminator": 0.51234, "loss/generator": 1.0, "accuracy/real": 0.9, "accuracy/fake": 0.7}
    found = rows(closing_table(run, metrics, 20.0, 3000), width=200)
    assert found == [
        ["losses", "D 0.5123, G 1.0000"],
        ["accuracy", "D is right on 90.0% of the reals and 70.0% of the fakes"],
        ["time", "20.0 s for 3,000 steps (150.0 steps/s)"],
        ["samples", "'outputs/[bold]run/samples/step-00000500.png'"],
        ["run", "'outputs/[bold]run'"],
    ]
    run.animation.touch()
    assert ["animation", "'outputs/[bold]run/samples/animation.gif'"] in rows(closing_table(run, {}, 0.0, 0), width=200)


def test_paths_are_relative_to_the_current_directory(in_tmp: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert ["run", "outputs/a"] in rows(closing_table(RunDir(in_tmp / "outputs/a"), {}, 1.0, 1), width=200)
    elsewhere = tmp_path_factory.mktemp("elsewhere").resolve()
    assert ["run", str(elsewhere)] in rows(closing_table(RunDir(elsewhere), {}, 1.0, 1), width=200)


def test_each_command_to_paste_has_a_line(in_tmp: Path) -> None:
    run = RunDir.create("outputs/2026-11-26/10-10-39-mlp-digits", {}, {})
    assert next_commands(run, 800).splitlines() == [
        "next:",
        "  gan-exp sample latest --output samples.png",
        "  gan-exp evaluate latest",
        "  gan-exp dashboard",
        "  gan-exp resume latest steps=800",
    ]


def test_a_run_that_is_not_the_latest_is_named(in_tmp: Path) -> None:
    """An older run that was resumed; the dashboard's command names the directory of a run outside of outputs/."""
    first, second = (RunDir.create(f"my runs/{name}", {}, {}) for name in ("first", "second"))
    assert "  gan-exp sample latest --output samples.png" in next_commands(second, 800)
    assert next_commands(first, 800).splitlines() == [
        "next:",
        "  gan-exp sample 'my runs/first' --output samples.png",
        "  gan-exp evaluate 'my runs/first'",
        "  gan-exp dashboard 'my runs/first'",
        "  gan-exp resume 'my runs/first' steps=800",
    ]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_path_is_printed_in_one_piece(in_tmp: Path, width: int) -> None:
    for name in ("10-10-39-mlp-digits", "Zahlen (mit Breite 512), dritter Versuch"):
        run = RunDir.create(f"outputs/2026-11-26/{name}", {}, {})
        run.sample_grid(4000).touch()
        written = io.StringIO()
        Console(file=written, width=width).print(closing_table(run, {}, 1.0, 1), crop=False)
        assert f"outputs/2026-11-26/{name}/samples/step-00004000.png" in written.getvalue()
