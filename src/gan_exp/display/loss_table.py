"""The table of both networks in the live display, fitted to the width of the terminal."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import compress

from rich.table import Table

from gan_exp.losses import Balance

BARS = "▁▂▃▄▅▆▇█"
GAP = 2  # columns between columns
NAME, LOSS, BALANCE, ACHIEVED = 15, 8, 7, len("100% (reals 100%, fakes 100%)")
LONGEST_TREND, SHORTEST_TREND = 24, 8


class LossTable:
    """Both losses with their reference values `balance` and recent trends, and D's accuracy."""

    def __init__(self) -> None:
        self.balance = Balance()
        self._metrics: Mapping[str, float] = {}
        self._trends = {network: deque[float](maxlen=LONGEST_TREND) for network in Balance._fields}

    def update(self, metrics: Mapping[str, float]) -> None:
        """Take the mean metrics of the last steps; another thread may draw the table meanwhile."""
        for network, trend in self._trends.items():
            trend.append(metrics[f"loss/{network}"])
        self._metrics = metrics  # last: with metrics there are trends

    def table(self, width: int) -> Table:
        """Losses and accuracy, and as far as they fit the networks' names, the balance and the trends."""
        room = width - LOSS - ACHIEVED - 3 * GAP
        named = room >= NAME
        room -= NAME if named else 1
        balanced = any(value is not None for value in self.balance) and room >= BALANCE + GAP
        room -= (BALANCE + GAP) * balanced
        trend = min(room - GAP, LONGEST_TREND) if room >= SHORTEST_TREND + GAP else 0
        table = Table(box=None, padding=(0, GAP, 0, 0), header_style="dim")
        columns = (
            ("network", NAME),
            ("", 1),
            ("loss", LOSS),
            ("balance", BALANCE),
            ("trend", trend),
            ("D is right on", 0),
        )
        there = (named, not named, True, balanced, trend > 0, True)
        for column, least in compress(columns, there):
            table.add_column(column, no_wrap=True, min_width=least)
        for network, colour in (("discriminator", "cyan"), ("generator", "magenta")):
            letter = f"[{colour}]{network[0].upper()}[/]"
            cells = (f"{letter} {network}", letter, *self._cells(network, trend))
            table.add_row(*compress(cells, there))
        return table

    def _cells(self, network: str, trend: int) -> tuple[str, str, str, str]:
        found = self._metrics
        if not found:
            return "…", "", "", ""
        balance: float | None = getattr(self.balance, network)
        real, fake = found["accuracy/real"], found["accuracy/fake"]
        achieved = f"{(real + fake) / 2:.0%} (reals {real:.0%}, fakes {fake:.0%})"
        return (
            f"{found[f'loss/{network}']:.4f}",
            "" if balance is None else f"{balance:.4f}",
            sparkline(list(self._trends[network])[-trend:]),
            achieved if network == "discriminator" else f"fools D with {1 - fake:.0%}",
        )


def sparkline(values: Sequence[float]) -> str:
    """A row of bars from the lowest to the highest of `values`."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)
