"""A feature extractor: images to features and, of some, to the logits of classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gan_exp.metrics.inputs import Embedding
from gan_exp.runtime.signals import stop_if_asked

CHUNK = 256


@dataclass(frozen=True)
class FeatureExtractor:
    """`extract` takes uint8 images [N, C, H, W] on `device` (points: floats). `about` goes into the protocol."""

    name: str
    digest: str
    extract: Callable[[Tensor], Embedding]
    device: torch.device | str = "cpu"
    knows_classes: bool = False  # its logits are of the data's own classes
    about: Mapping[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def embed(self, images: Tensor, chunk: int = CHUNK) -> Embedding:
        """Features and logits of all `images` on the CPU, computed `chunk` images at a time."""
        parts = []
        for part in images.split(chunk):
            stop_if_asked()
            parts.append(self.extract(part.to(self.device)))
        features = torch.cat([part.features.float().cpu() for part in parts])
        logits = [part.logits.float().cpu() for part in parts if part.logits is not None]
        return Embedding(features, torch.cat(logits) if logits else None)
