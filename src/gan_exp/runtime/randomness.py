"""Random numbers as functions of (seed, step, stream), so that a resumed run equals one that was never stopped.

A part of a batch (a micro-batch, or the part of one of several processes) takes its rows of what the whole batch draws.

As in EDM2 (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"), no random state
needs to be saved, because the state at any step can be computed again.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from gan_exp.runtime.transfer import Ahead


class Rows(NamedTuple):
    """Rows [start, stop) of a batch that has `whole`."""

    start: int
    stop: int
    whole: int

    @property
    def share(self) -> float:
        return (self.stop - self.start) / self.whole

    def inner(self, start: int, stop: int) -> "Rows":
        """Rows [start, stop) of these rows, as rows of the same whole batch."""
        return Rows(self.start + start, self.start + stop, self.whole)

    def of(self, count: int) -> tuple[slice, int]:
        """Where `count` things that belong to these rows, such as a number for each pack, lie among how many."""
        own = self.stop - self.start
        (start, left), (whole, left_of_whole) = divmod(self.start * count, own), divmod(self.whole * count, own)
        if left or left_of_whole:
            raise ValueError(f"{count} random numbers can't be shared evenly by {own} images")
        return slice(start, start + count), whole


class OwnDraws(torch.Generator):
    """A generator that has its own way to `draw`. What torch's own functions draw with it is something else."""

    def draw(self, sample: Callable[..., torch.Tensor], shape: Sequence[int], **options: Any) -> torch.Tensor:
        raise NotImplementedError


class PartRng(OwnDraws):
    """The random numbers of a part of a batch: `draw` takes its rows of what `whole` draws for the whole batch.

    What torch's own functions draw with it also differs from part to part, but isn't what the whole batch would draw.
    """

    whole: torch.Generator
    rows: Rows

    @classmethod
    def of(cls, whole: torch.Generator, rows: Rows) -> "PartRng":
        rng = cls(whole.device)
        rng.whole, rng.rows = whole, rows
        rng.manual_seed(_hash(f"{whole.initial_seed()}/{rows.start}"))
        return rng

    def draw(self, sample: Callable[..., torch.Tensor], shape: Sequence[int], **options: Any) -> torch.Tensor:
        rows, whole = self.rows.of(shape[0])
        return sample((whole, *shape[1:]), generator=self.whole, **options)[rows]


def draw(
    sample: Callable[..., torch.Tensor], shape: Sequence[int], rng: torch.Generator, **options: Any
) -> torch.Tensor:
    """`sample(shape, generator=rng, **options)`, such as torch.rand; its rows if `rng` is that of a part of a batch.

    The first dimension of `shape` counts the images or packs of the part.
    """
    if isinstance(rng, OwnDraws):
        return rng.draw(sample, shape, **options)
    return sample(shape, generator=rng, **options)


class Streams:
    """Generators of random numbers for one device, by step and purpose.

    Latents are drawn for `ahead` steps at a time, which changes none of them.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu", ahead: int = 1) -> None:
        self.seed = seed
        self.device = torch.device(device)
        self._ahead, self._latents = ahead, dict[tuple[object, ...], Ahead]()
        self._latents_rng = torch.Generator()  # reseeded and used at once: a new one takes ten microseconds

    def at(self, step: int, stream: str) -> torch.Generator:
        """A new generator on the device; its numbers depend on (seed, step, stream) and nothing else."""
        return torch.Generator(self.device).manual_seed(self._seed(step, stream))

    def latents(self, step: int, stream: str, count: int, latent_dim: int, rows: slice = slice(None)) -> torch.Tensor:
        """These rows of standard normal latents [count, latent_dim], drawn on the CPU so that all devices agree."""
        key = stream, count, latent_dim, rows.start, rows.stop
        if key not in self._latents:

            def draw_on_cpu(number: int) -> torch.Tensor:
                rng = self._latents_rng.manual_seed(self._seed(number, stream))
                return torch.randn(count, latent_dim, generator=rng)[rows]

            self._latents[key] = Ahead(draw_on_cpu, self.device, self._ahead)
        return self._latents[key](step)

    def _seed(self, step: int, stream: str) -> int:
        return _hash(f"{self.seed}/{step}/{stream}")


def _hash(text: str) -> int:
    """A seed of 63 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def random_state_kept() -> Iterator[None]:
    """What is drawn within this block, such as by a user's own classes, changes none of the global random states.

    Those of GPUs are kept where the program has used them before.
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
