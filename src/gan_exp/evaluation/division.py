"""Samples and features of many images, made by all ranks: rank 0 leads the evaluation, and the others help it.

Each rank works through whole chunks, as large as those of one process: so every number is the same to the last bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.evaluation.features.extractor import CHUNK, FeatureExtractor
from gan_exp.evaluation.progress import Progress
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import Abandoned, Interrupted, asked_to_stop, note_signal, stop_if_asked

Rows = Sequence[Tensor | None]  # as many of each
Work = Callable[[Rows], Rows]
Sampler = Callable[[Tensor, Tensor | None], Tensor]  # of latents and labels
FAILED = 1000  # above the number of each signal


class _Order(NamedTuple):
    """What rank 0 asks the others to do with the rows that follow."""

    rows: int
    shapes: list[tuple[tuple[int, ...], torch.dtype] | None]  # of a row of each tensor
    key: tuple[str, str] | None  # of an extractor that they have; None: draw samples
    extractor: FeatureExtractor | None = None  # when it is needed for the first time, on the CPU
    on_gpu: bool = False


class Division:
    """Divides the work among `ranks`; `device` is that of this one. With one rank it does all at once.

    `say` is told how far samples and features are that take long.
    """

    def __init__(
        self,
        ranks: Ranks = ALONE,
        device: torch.device | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.say = say
        self.ranks, self.device = ranks, device or torch.device("cpu")
        self._extractors: dict[tuple[str, str], FeatureExtractor] = {}  # that the others have; in them, that they got

    @contextmanager
    def leading(self) -> Iterator[None]:
        """What rank 0 does while the others `serve`; however the block ends, they are let go."""
        try:
            yield
        finally:
            self.ranks.broadcast()

    def draw(self, sampler: Sampler, latents: Tensor, labels: Tensor | None) -> Tensor:
        """The samples of all latents."""
        samples = self._divide(_sampling(sampler, self.say), [latents, labels], None)[0]
        assert samples is not None
        return samples

    def embed(self, extractor: FeatureExtractor, images: Tensor) -> Embedding:
        """`extractor.embed(images)`."""
        features, logits, early = self._divide(_embedding(extractor, self.say), [images], extractor)
        assert features is not None
        return Embedding(features, logits, early)

    def serve(self, sampler: Sampler) -> None:
        """Work for rank 0 until it leaves `leading`; `sampler` is that of the same generator."""
        while (order := self.ranks.broadcast()) is not None:
            if order.extractor is not None:
                self._extractors[order.key] = order.extractor.moved(self.device if order.on_gpu else "cpu")
            self._help(order, _sampling(sampler) if order.key is None else _embedding(self._extractors[order.key]))

    def _divide(self, work: Work, rows: Rows, extractor: FeatureExtractor | None) -> Rows:
        """What `work` makes of all rows. The others do the same work: by this extractor, or by drawing samples."""
        count = max(len(tensor) for tensor in _present(rows))
        if self.ranks.count == 1 or count <= CHUNK:
            return work(rows)
        self.ranks.broadcast(self._order(count, rows, extractor))
        own, *others = _shares(count, self.ranks.count)
        for rank, share in enumerate(others, start=1):
            for tensor in _present(rows):
                self.ranks.send(tensor[share].cpu(), rank)
        made = self._attempt(work, [None if tensor is None else tensor[own] for tensor in rows])
        parts = [made]
        for rank, share in enumerate(others, start=1):
            parts.append([None if tensor is None else _room(tensor.shape[1:], tensor.dtype, share) for tensor in made])
            for tensor in _present(parts[-1]):
                self.ranks.receive(tensor, rank)
        columns = [_present(column) for column in zip(*parts, strict=True)]
        return [torch.cat(column) if column else None for column in columns]

    def _order(self, count: int, rows: Rows, extractor: FeatureExtractor | None) -> _Order:
        shapes = [None if tensor is None else (tuple(tensor.shape[1:]), tensor.dtype) for tensor in rows]
        if extractor is None:
            return _Order(count, shapes, None)
        key = extractor.name, extractor.digest
        if key in self._extractors:
            return _Order(count, shapes, key)
        self._extractors[key] = extractor
        return _Order(count, shapes, key, extractor.moved("cpu"), torch.device(extractor.device).type != "cpu")

    def _help(self, order: _Order, work: Work) -> None:
        """What another rank does while rank 0 is in `_divide`."""
        share = _shares(order.rows, self.ranks.count)[self.ranks.rank]
        rows = [None if shape is None else _room(*shape, share) for shape in order.shapes]
        for tensor in _present(rows):
            self.ranks.receive(tensor, 0)
        try:
            made = self._attempt(work, rows)
        except (Abandoned, Interrupted):
            return  # rank 0 ends the evaluation
        for tensor in _present(made):
            self.ranks.send(tensor, 0)

    def _attempt(self, work: Work, rows: Rows) -> Rows:
        """What `work` makes of this rank's rows, if all ranks got through: a signal to one of them stops all."""
        failure: BaseException | None = None
        made: Rows = []
        try:
            if any(len(tensor) for tensor in _present(rows)):
                made = work(rows)
        except BaseException as error:
            failure = error
        stopped = isinstance(failure, Abandoned | Interrupted)
        found = self.ranks.largest((asked_to_stop() or 0) if stopped else FAILED if failure else 0)
        if failure is not None:
            raise failure
        if found == FAILED:
            raise RuntimeError("another process of this training has failed")
        if found:
            note_signal(found)
            stop_if_asked()
        return made


def _sampling(sampler: Sampler, say: Callable[[str], None] | None = None) -> Work:
    def work(rows: Rows) -> Rows:
        latents, labels = rows
        assert latents is not None
        progress, parts = Progress(say, f"{len(latents):,} samples", len(latents)), list[Tensor]()
        for start in range(0, len(latents), CHUNK):
            some = slice(start, start + CHUNK)
            parts.append(sampler(latents[some], None if labels is None else labels[some]))
            progress(start + len(parts[-1]))
        return [torch.cat(parts)]

    return work


def _embedding(extractor: FeatureExtractor, say: Callable[[str], None] | None = None) -> Work:
    def work(rows: Rows) -> Rows:
        (images,) = rows
        assert images is not None
        progress = Progress(say, f"features {extractor.name} of {len(images):,} images", len(images))
        return extractor.embed(images, progress=progress)

    return work


def _shares(count: int, ranks: int) -> list[slice]:
    """The rows of each rank: whole chunks, as evenly as they go, the first ranks' more."""
    chunks = (count + CHUNK - 1) // CHUNK
    ends = [min(count, CHUNK * ((chunks * rank + ranks - 1) // ranks)) for rank in range(ranks + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _present(tensors: Iterable[Tensor | None]) -> list[Tensor]:
    """Those that are there and not empty: nothing else is sent."""
    return [tensor for tensor in tensors if tensor is not None and len(tensor)]


def _room(shape: Sequence[int], dtype: torch.dtype, share: slice) -> Tensor:
    return torch.empty(share.stop - share.start, *shape, dtype=dtype)
