"""The ONNX file: one file with the weights inside, for any number of images."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gan_exp.errors import UserError
from gan_exp.generators.export.program import Images, cannot_export, export_program, input_names
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runtime.files import json_text

if TYPE_CHECKING:
    from onnx import ModelProto

# torch's own translation of its operators; the older TorchScript exporter can't express R3GAN's upsampling.
OPSET = 20
LARGEST = 2**31 - 1  # bytes of a file in the format of protocol buffers
NEEDED = ("onnx", "onnxscript")


def refuse_without_packages() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"--format onnx: needs {' and '.join(missing)}; install with: pip install 'gan-exp[onnx]'")


def onnx_bytes(trained: TrainedGenerator, metadata: dict[str, Any]) -> bytes:
    """The content of the file. Raises UserError if it would be too large, or if the network can't be exported."""
    refuse_without_packages()
    size = sum(value.nbytes for value in trained.network.state_dict().values())
    if size > LARGEST:
        raise UserError(
            f"--format onnx: the weights have {size / 2**30:.1f} GiB, and one ONNX file holds less than 2; "
            f"use --format torch or safetensors"
        )
    program, names = export_program(trained), input_names(trained)
    try:
        exported = torch.onnx.export(
            program, dynamo=True, input_names=names, output_names=["images"], opset_version=OPSET, verbose=False
        )
    except Exception as error:  # an operator without a translation, in a class of the user's own
        raise cannot_export(trained, "torch.onnx", error) from error
    assert exported is not None
    model = exported.model_proto
    _tidy(model)
    model.producer_name, model.producer_version = "gan-exp", str(metadata["version"])
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=json_text(value))
    content: bytes = model.SerializeToString()
    return content


def _tidy(model: "ModelProto") -> None:
    """Name the first dimension N, and remove what the exporter notes about its own work."""
    graph = model.graph
    graph.name = "generator"
    del graph.value_info[:]
    del model.metadata_props[:]
    for node in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"


def open_onnx(path: Path) -> Images | None:
    """The file as a function; None without onnxruntime, when only onnx's own checks were made."""
    if find_spec("onnxruntime") is None:
        import onnx

        onnx.checker.check_model(str(path), full_check=True)
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def images(latents: Tensor, labels: Tensor | None) -> Tensor:
        given = [latents] if labels is None else [latents, labels]
        found = session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})
        return torch.from_numpy(found[0])

    return images
