"""A run's records in the order in which they were written: logged means, evidence at the grids, evaluations."""

from collections.abc import Mapping
from statistics import fmean

TREND_STEPS = 300  # over so many a measure can be seen to rise or fall

UNSEEN = "held_out"  # number of images, in the record of an evaluation

Record = Mapping[str, float]  # `step`, and values by TensorBoard tag


class History:
    def __init__(self) -> None:
        self.logs: list[Record] = []
        self.grids: list[Record] = []  # with evidence from samples
        self.evaluations: list[Record] = []
        self.largest_gradient = 0.0  # norm of G's

    def add(self, record: Record) -> None:
        if "loss/generator" in record:
            self.logs.append(record)
            self.largest_gradient = max(self.largest_gradient, record.get("gradient_norm/generator", 0.0))
        elif "samples/spread" in record:
            self.grids.append(record)
        elif any(tag.startswith("evaluation/") for tag in record):
            self.evaluations.append(record)

    @property
    def trend(self) -> int:
        """The number of grids in the last 300 steps, at least two; they show whether a measure rises or falls."""
        since = self.grids[-1]["step"] - TREND_STEPS if self.grids else 0
        return max(sum(grid["step"] >= since for grid in self.grids), 2)

    @property
    def has_trend(self) -> bool:
        """There are grids over 300 steps, and two besides that of step 0."""
        return len(self.grids) > 2 and self.grids[-1]["step"] - self.grids[0]["step"] >= TREND_STEPS

    @property
    def step(self) -> int:
        """The step of the newest record."""
        last = [records[-1]["step"] for records in (self.logs, self.grids, self.evaluations) if records]
        return int(max(last, default=0))

    def logged(self, tag: str, grids: int = 1) -> float | None:
        """The mean of the values of `tag` that were logged since the `grids`-th last grid; None if there are none."""
        since = self.grids[-grids - 1]["step"] if len(self.grids) > grids else -1
        values: list[float] = []
        for log in reversed(self.logs):
            if log["step"] <= since and values:
                break
            if tag in log:
                values.append(log[tag])
        return fmean(values) if values else None

    def sampled(self, tag: str, count: int) -> list[float]:
        """The values of samples/`tag` at the last `count` grids that have one, the oldest first."""
        return [grid[f"samples/{tag}"] for grid in self.grids[-count:] if f"samples/{tag}" in grid]

    @property
    def unseen(self) -> float | None:
        """The number of held-out images of the newest evaluation; None if it does not tell."""
        return self.evaluations[-1].get(UNSEEN) if self.evaluations else None

    def evaluated(self, *beginnings: str) -> float | None:
        """The newest value of a score whose name has one of these beginnings (its ending names the feature space)."""
        if not self.evaluations:
            return None
        newest = self.evaluations[-1]
        names = (tag for tag in newest if tag.removeprefix("evaluation/").startswith(beginnings))
        return next((newest[name] for name in names), None)
