"""The program of torch.export as a .pt2 file, for `torch.export.load(FILE).module()`."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_exp.generators.export.program import Images, export_program
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runtime.files import json_text

METADATA = "metadata.json"  # among the file's `extra_files`


def torch_bytes(trained: TrainedGenerator, metadata: dict[str, Any]) -> bytes:
    """The content of the file. Raises UserError if the network can't be exported."""
    buffer = io.BytesIO()
    torch.export.save(export_program(trained), buffer, extra_files={METADATA: json_text(metadata)})
    return buffer.getvalue()


def open_torch(path: Path) -> Images:
    with path.open("rb") as file:
        module = torch.export.load(file).module()

    def images(latents: Tensor, labels: Tensor | None) -> Tensor:
        found: Tensor = module(latents) if labels is None else module(latents, labels)
        return found

    return images
