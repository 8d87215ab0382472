"""Features of images, as metrics compare them."""

from typing import Any, NamedTuple

from torch import Tensor


class Embedding(NamedTuple):
    """What a feature extractor makes of images.

    `logits` are [N, K], or [N, C, K] of an extractor that looks at each channel on its own; None without classes.
    `early` are features of an earlier layer, where the extractor is a network of this tool.
    """

    features: Tensor  # float32 [N, D]
    logits: Tensor | None = None
    early: Tensor | None = None  # float32 [N, E]

    @property
    def labels(self) -> Tensor:
        """The likeliest classes: [N], or [N, C]."""
        assert self.logits is not None
        return self.logits.argmax(dim=-1)

    def first(self, count: int) -> "Embedding":
        """That of the first `count` images."""
        return self.select(slice(count))

    def select(self, which: Any) -> "Embedding":
        """That of the images which a slice, indices or a mask selects."""
        features, logits, early = self
        return Embedding(
            features[which],
            None if logits is None else logits[which],
            None if early is None else early[which],
        )
