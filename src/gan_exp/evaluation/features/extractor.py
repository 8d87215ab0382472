"""A feature extractor: images to features and, of some, to the logits of classes."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from gan_exp.data.packed import normalise
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.signals import stop_if_asked

CHUNK = 256


@dataclass(frozen=True)
class FeatureExtractor:
    """`extract` takes uint8 images [N, C, H, W] on `device` (points: floats). `about` goes into the protocol.

    It can be pickled, so that other processes get it: `extract` is a module or a function with a name.
    """

    name: str
    digest: str
    extract: Callable[[Tensor], Embedding]
    device: torch.device | str = "cpu"
    knows_classes: bool = False  # its logits are of the data's own classes
    about: Mapping[str, Any] = field(default_factory=dict)

    def moved(self, device: torch.device | str) -> "FeatureExtractor":
        """The same on another device, with a network of its own there."""
        extract = self.extract
        if isinstance(extract, nn.Module):
            extract = copy.deepcopy(extract).to(device)
        return replace(self, extract=extract, device=device)

    @torch.no_grad()
    def embed(
        self, images: Tensor, chunk: int = CHUNK, progress: Callable[[int], None] = lambda done: None
    ) -> Embedding:
        """The embedding of all `images` on the CPU, computed `chunk` images at a time; `progress` is told how many."""
        parts = []
        for number, part in enumerate(images.split(chunk)):
            stop_if_asked()
            parts.append(self.extract(part.to(self.device)))
            progress(number * chunk + len(part))
        features, logits, early = zip(*parts, strict=True)
        return Embedding(torch.cat([part.float().cpu() for part in features]), _join(logits), _join(early))


def prepare(images: Tensor) -> Tensor:
    """uint8 images as the floats in [-1, 1] that networks see; what is transparent has no colour.

    With a fourth channel, alpha, colours are those on mid-gray: from them and alpha a first layer can make those on any
    other ground.
    """
    floats = normalise(images)
    if images.shape[1] != 4 or images.dtype != torch.uint8:
        return floats
    colours, alpha = floats[:, :3], floats[:, 3:]
    return torch.cat([colours * (alpha + 1) / 2, alpha], dim=1)


def _join(parts: Sequence[Tensor | None]) -> Tensor | None:
    found = [part.float().cpu() for part in parts if part is not None]
    return torch.cat(found) if found else None
