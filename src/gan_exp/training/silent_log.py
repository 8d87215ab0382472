"""The log of the ranks other than the first, which write and show nothing."""

from collections.abc import Callable, Mapping
from typing import Any

from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import DiscriminatorReport


class SilentLog:
    """Takes what `RunLog` takes from the training loop."""

    saved_step: int | None = None

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}  # those of the latest log

    def start(self, step: int) -> None: ...

    def at(self, step: int) -> None: ...

    def exclude_time(self, seconds: float) -> None: ...

    def write_status(self, step: int) -> None: ...

    def progress(self, step: int, metrics: dict[str, float]) -> None:
        self.metrics = metrics

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def sample(self, step: int, state: TrainingState, report: DiscriminatorReport | None) -> None: ...

    def save(self, step: int, content: Callable[[], dict[str, Any]], keep: int) -> None: ...

    def save_best(self, content: Callable[[], dict[str, Any]]) -> None: ...

    def finish_writing(self) -> None: ...

    def close(self) -> None: ...
