"""What every feature network is to an evaluation: a name, a digest, and images to features and perhaps logits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_exp.runtime.signals import stop_if_asked

CHUNK = 256


class Embedding(NamedTuple):
    """`logits` are [N, K], or [N, C, K] where each channel is judged on its own; None of a network without classes."""

    features: Tensor  # float32 [N, D]
    logits: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """The likeliest classes: [N], or [N, C]."""
        assert self.logits is not None
        return self.logits.argmax(dim=-1)


@dataclass(frozen=True)
class FeatureNetwork:
    """`extract` takes uint8 images [N, C, H, W] on `device` (points: floats). `about` goes into the protocol."""

    name: str
    digest: str
    extract: Callable[[Tensor], Embedding]
    device: torch.device | str = "cpu"
    knows_classes: bool = False  # its logits are of the data's own classes
    about: Mapping[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def embed(self, images: Tensor, chunk: int = CHUNK) -> Embedding:
        """All of `images`, some at a time; on the CPU."""
        parts = []
        for part in images.split(chunk):
            stop_if_asked()
            parts.append(self.extract(part.to(self.device)))
        features = torch.cat([part.features.float().cpu() for part in parts])
        logits = [part.logits.float().cpu() for part in parts if part.logits is not None]
        return Embedding(features, torch.cat(logits) if logits else None)
