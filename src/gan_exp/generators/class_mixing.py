"""Images between two classes of a conditional generator, which is given whole numbers as labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from gan_exp.models.sampling import generate
from gan_exp.runtime.signals import stop_if_asked


class ClassMixer:
    """Makes images between classes: where it `can_mix`, by mixing the learned vectors of the two labels.

    All models of this package learn a vector for each label (`torch.nn.Embedding`) and see nothing else of it, so that
    vectors between two of them are inputs like any other. Of a network that uses its labels in another way, the class
    changes at once, halfway.
    """

    def __init__(self, network: nn.Module, num_classes: int, latent_dim: int) -> None:
        self._network = network
        tables = (module for module in network.modules() if isinstance(module, nn.Embedding))
        self._tables = [table for table in tables if table.num_embeddings == num_classes]
        self.can_mix = bool(self._tables) and self._labels_act_through_tables(latent_dim, num_classes)

    @torch.no_grad()
    def images(self, latents: Tensor, start: Tensor, end: Tensor, weight: Tensor, chunk: int = 256) -> Tensor:
        """Floats [N, C, H, W] on the CPU, for `weight` [N] from 0 (the class `start`) to 1 (the class `end`)."""
        device = next(self._network.parameters()).device
        latents, start, end, weight = (given.to(device) for given in (latents, start, end, weight))
        if not self.can_mix:
            start = torch.where(weight < 0.5, start, end)
        parts = []
        for some in torch.arange(len(latents)).split(chunk):
            stop_if_asked()
            some = some.to(device)
            with self._mixed(end[some], weight[some]):
                parts.append(generate(self._network, latents[some], start[some]).cpu())
        return torch.cat(parts)

    @contextmanager
    def _mixed(self, end: Tensor, weight: Tensor) -> Iterator[None]:
        """The tables return vectors between those of the labels that they are given and those of `end`."""

        def mix(table: nn.Module, _: Any, vectors: Tensor) -> Tensor:
            assert isinstance(table, nn.Embedding)
            return torch.lerp(vectors, embedding(end, table.weight), weight[:, None].to(vectors.dtype))

        hooks = [table.register_forward_hook(mix) for table in self._tables if self.can_mix]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _labels_act_through_tables(self, latent_dim: int, num_classes: int) -> bool:
        """Whether class 0 with the vectors of the last class looks just as the last class does."""
        self.can_mix = True
        device = self._tables[0].weight.device
        latents = torch.randn(2, latent_dim, generator=torch.Generator().manual_seed(0)).to(device)
        first, last = (torch.full((2,), label, device=device) for label in (0, num_classes - 1))
        try:
            mixed = self.images(latents, first, last, torch.ones(2))
            with torch.no_grad():
                wanted = generate(self._network, latents, last).cpu()
        except (RuntimeError, IndexError):  # the tables take something else than one label for each image
            return False
        return torch.allclose(mixed, wanted, atol=1e-5)
