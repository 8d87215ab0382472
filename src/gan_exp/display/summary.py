"""Tables of the networks' layers and of a run's end."""

import copy
from collections.abc import Mapping, Sequence

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.console import NamedRows
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import OUTPUTS
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.words import plural


def network_table(name: str, network: nn.Module, *example: Tensor) -> Table:
    """Each layer's output shape and parameters, found by passing `example` (latents or images, labels) to a copy.

    A layer that isn't called, as where the network uses its weights itself, follows the one before it without a shape.
    """
    copied = copy.deepcopy(network).eval()  # eval changes no BatchNorm statistics and draws no random numbers
    layers = [
        layer
        for path, layer in copied.named_modules()
        if "parametrizations" not in path and all(name == "parametrizations" for name, _ in layer.named_children())
    ]
    rows: list[tuple[nn.Module, str]] = []

    def note(layer: nn.Module, inputs: tuple[object, ...], output: Tensor) -> None:
        if output is inputs[0] and not getattr(layer, "inplace", False):
            return  # it returns its input unchanged, as LabelEmbedding does without labels
        rows.append((layer, " x ".join(map(str, output.shape[1:])) or "1"))

    for layer in layers:
        layer.register_forward_hook(note)
    with torch.no_grad():
        copied(*example)
    _insert_uncalled(rows, layers)
    table = Table(title=name, title_justify="left", title_style="bold", box=None, padding=(0, 3, 0, 0))
    table.add_column("layer")
    table.add_column("output")
    table.add_column("parameters", justify="right")
    for layer, shape in rows:
        parameters = _count(layer)
        table.add_row(_kind(layer), shape, f"{parameters:,}" if parameters else "")
    table.add_row("[bold]all", "", f"[bold]{_count(copied):,}")
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    if trained != _count(copied):
        table.add_row("of these trained", "", f"{trained:,}")
    return table


def _insert_uncalled(rows: list[tuple[nn.Module, str]], layers: Sequence[nn.Module]) -> None:
    """Of `layers`, those with parameters that `rows` lack, each behind the one that comes before it among `layers`."""
    before = 0
    for layer in layers:
        places = [place for place, (called, _) in enumerate(rows) if called is layer]
        if not places and _count(layer):
            rows.insert(before, (layer, ""))
            places = [before]
        if places:
            before = places[0] + 1


def _kind(layer: nn.Module) -> str:
    """`Parametrized` says that it has spectral norm."""
    return type(layer).__name__.removeprefix("_").removeprefix("Keras").removeprefix("Parametrized")


def _count(network: nn.Module) -> int:
    """The number of parameters as Keras counts them, including BatchNorm's moving averages."""
    norms = (layer for layer in network.modules() if isinstance(layer, _BatchNorm))
    averages = (buffer for layer in norms for buffer in layer.buffers() if buffer.is_floating_point())
    return sum(tensor.numel() for tensor in (*network.parameters(), *averages))


def closing_table(
    run: RunDir, metrics: Mapping[str, float], seconds: float, steps: int, verdicts: Sequence[Verdict] = ()
) -> NamedRows:
    """The run's last metrics, its time and verdicts, and the paths of its files."""
    table = NamedRows()
    if metrics:
        table.add("losses", f"D {metrics['loss/discriminator']:.4f}, G {metrics['loss/generator']:.4f}")
        real, fake = metrics["accuracy/real"], metrics["accuracy/fake"]
        table.add("accuracy", f"D is right on {real:.1%} of the reals and {fake:.1%} of the fakes")
    table.add("time", f"{seconds:.1f} s for {plural(steps, 'step')} ({steps / max(seconds, 1e-9):,.1f} steps/s)")
    for verdict in verdicts:
        table.add("doctor", verdict.line())
    grids = run.list_sample_grids()
    if grids:
        table.add("samples", path_from_here(grids[-1][1]))
    if run.animation.exists():
        table.add("animation", path_from_here(run.animation))
    table.add("run", path_from_here(run.path))
    return table


def next_commands(run: RunDir, steps: int) -> str:
    """Commands to paste, one per line; they name the run as `latest` only where that is this run."""
    path = path_from_here(run.path)
    name = "latest" if run.is_latest() else path
    directory = "" if run.path.resolve().is_relative_to(OUTPUTS.resolve()) else f" {path}"
    return "\n".join((
        "next:",
        f"  gan-exp sample {name} --output samples.png",
        f"  gan-exp evaluate {name}",
        f"  gan-exp dashboard{directory}",
        f"  gan-exp resume {name} steps={steps}",
    ))  # fmt: skip
