"""The random numbers of a compiled program, which are drawn before it: a compiler would draw others."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_exp.penalties import RngFor
from gan_exp.runtime.randomness import OwnDraws
from gan_exp.training.step_types import UpdateInputs

Sample = Callable[..., Tensor]


class Call(NamedTuple):
    """Of `randomness.draw`."""

    sample: Sample
    shape: tuple[int, ...]
    options: dict[str, Any]


class Request(NamedTuple):
    """A generator of random numbers for a purpose, of the update with this number, and what was drawn with it."""

    update: int
    purpose: str
    calls: list[Call]


class Draws:
    """Notes what some updates draw, so that it can be drawn beforehand and given to them."""

    def __init__(self) -> None:
        self._requests: list[Request] = []

    def noted(self, inputs: Sequence[UpdateInputs]) -> list[UpdateInputs]:
        """The same inputs; what is drawn with them is noted."""

        def generator(update: int, purpose: str) -> torch.Generator:
            self._requests.append(Request(update, purpose, []))
            return _Noting.of(inputs[update].rng_for(purpose), self._requests[-1].calls)

        return _with(inputs, generator)

    def made(self, inputs: Sequence[UpdateInputs]) -> list[Tensor]:
        """What was noted, drawn with these inputs."""
        found = []
        for update, purpose, calls in self._requests:
            rng = inputs[update].rng_for(purpose)
            found += [sample(shape, generator=rng, **options) for sample, shape, options in calls]
        return found

    def given(self, inputs: Sequence[UpdateInputs], values: Sequence[Tensor]) -> list[UpdateInputs]:
        """The same inputs, with which nothing but these `values` is drawn. Raises ValueError if it is another draw."""
        requests, waiting = iter(self._requests), iter(values)

        def generator(update: int, purpose: str) -> torch.Generator:
            request = next(requests, None)
            if request is None or request[:2] != (update, purpose):
                raise ValueError(f"random numbers for {purpose} are not drawn in the same order each time")
            return _Giving.of([(call, next(waiting)) for call in request.calls])

        return _with(inputs, generator)


class _Noting(OwnDraws):
    rng: torch.Generator
    calls: list[Call]

    @classmethod
    def of(cls, rng: torch.Generator, calls: list[Call]) -> "_Noting":
        made = cls(rng.device)
        made.rng, made.calls = rng, calls
        return made

    def draw(self, sample: Sample, shape: Sequence[int], **options: Any) -> Tensor:
        self.calls.append(Call(sample, tuple(shape), options))
        return sample(shape, generator=self.rng, **options)


class _Giving(OwnDraws):
    values: Iterator[tuple[Call, Tensor]]

    @classmethod
    def of(cls, values: Sequence[tuple[Call, Tensor]]) -> "_Giving":
        made = cls()
        made.values = iter(values)
        return made

    def draw(self, sample: Sample, shape: Sequence[int], **options: Any) -> Tensor:
        call, value = next(self.values, (None, None))
        if call is None or value is None or call[:2] != (sample, tuple(shape)):
            raise ValueError(f"{sample.__name__} does not draw {tuple(shape)} each time")
        return value


def _with(inputs: Sequence[UpdateInputs], generator: Callable[[int, str], torch.Generator]) -> list[UpdateInputs]:
    def rng_for(update: int) -> RngFor:
        return lambda purpose: generator(update, purpose)

    return [each._replace(rng_for=rng_for(number)) for number, each in enumerate(inputs)]
