"""The formats of exported files: what is written, and how it is checked after writing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gan_exp.errors import UserError
from gan_exp.generators.export.onnx_file import onnx_bytes, open_onnx
from gan_exp.generators.export.program import TOLERANCE, Bounded, Images, largest_difference
from gan_exp.generators.export.torch_file import open_torch, torch_bytes
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.export import load_generator, read_metadata, safetensors_bytes


class Format(NamedTuple):
    content: Callable[[TrainedGenerator, dict[str, Any]], bytes]
    opened: Callable[[Path], Images | None]  # None: what runs such files is not installed
    runtime: str


def _safetensors(trained: TrainedGenerator, metadata: dict[str, Any]) -> bytes:
    return safetensors_bytes(trained.network, metadata)


def _open_safetensors(path: Path) -> Images:
    return Bounded(load_generator(path), points=read_metadata(path).extent is not None)


FORMATS = {
    "safetensors": Format(_safetensors, _open_safetensors, "gan-exp"),
    "onnx": Format(onnx_bytes, open_onnx, "onnxruntime"),
    "torch": Format(torch_bytes, open_torch, "torch.export.load"),
}


def check_file(name: str, path: Path, trained: TrainedGenerator) -> str:
    """Run the written file and compare its images with the run's. Returns a sentence without a full stop.

    Raises UserError if they differ.
    """
    runtime = FORMATS[name].runtime
    images = FORMATS[name].opened(path)
    if images is None:
        return f"onnx's checker finds no fault; it was not run, since {runtime} is not installed"
    difference = largest_difference(trained, images)
    if difference > TOLERANCE:
        raise UserError(
            f"--format {name}: not written, since images that {runtime} makes with it differ from the run's by up to "
            f"{difference:.2g} (allowed: {TOLERANCE:g}); use another format"
        )
    if difference == 0:
        return f"images that {runtime} makes with it equal the run's"
    return f"images that {runtime} makes with it differ from the run's by at most {difference:.2g}"
