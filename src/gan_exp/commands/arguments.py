"""Command lines other than `train`'s: argparse, with one sentence for each mistake."""

import argparse
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

from gan_exp.errors import UserError

RUN_HELP = "`latest`, a run's directory, or its short name: 10-10-39-mlp-digits of outputs/<date>/10-10-39-mlp-digits"


class Parser(argparse.ArgumentParser):
    """Raises UserError if argparse would print usage and exit."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"gan-exp {command}", description=description, allow_abbrev=False)

    def add_trust(self) -> None:
        """For commands that build what a run names."""
        self.add_argument(
            "--trust",
            action="append",
            default=[],
            metavar="MODULE",
            help="allow the run to name classes of your own MODULE",
        )

    def add_device(self) -> None:
        """For commands that call a trained network."""
        self.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help=(
            "where the network computes (default auto: the GPU if there is one); random numbers are the same"
        ))  # fmt: skip

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given: list[str] = list(args or ())
        known = {option for action in self._actions for option in action.option_strings}
        for word in map(str, self.given):  # argparse would take -hello for -h
            if re.match("-[a-zA-Z]", word) and word not in known:
                self.error(f"unrecognized arguments: {word}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: (\S+)", message)
        if unknown:
            message = self._unrecognised(unknown[1])
        elif message.startswith("the following arguments are required: RUN"):
            message = "which run? `latest`, its directory, or its short name"
        elif message.startswith("the following arguments are required: IMAGE"):
            message = "which image? a file such as photo.png"
        elif message.startswith("the following arguments are required: shell"):
            message = "which shell? bash, zsh or fish"
        else:
            message = self._plainly(message)
        raise UserError(f"{self.prog.removeprefix('gan-exp ')}: {message} (see {self.prog} --help)")

    def _plainly(self, message: str) -> str:
        """argparse's sentence about a value, in the form of all others: `--count 0: must be ...`."""
        found = re.fullmatch(r"argument (\S+): (.*)", message, flags=re.DOTALL)
        if not found:
            return message
        name, text = found[1], found[2]
        choice = re.match(r"invalid choice: '(.*)' \(choose from ", text, flags=re.DOTALL)
        if choice:
            options = next(action.choices for action in self._actions if name in (*action.option_strings, action.dest))
            *most, last = map(str, options or ())
            text = f"{choice[1]}: must be {', '.join(most)} or {last}"
        if text == "expected one argument":
            return f"{name}: needs a value"
        return f"{name} {text}" if name.startswith("-") else text

    def _unrecognised(self, word: str) -> str:
        from gan_exp.config.mistakes.command_line import unknown_flag

        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        name, separator, value = word.partition("=")
        if separator and f"--{name}" in known:
            return f"{word}: is written --{name} {value}"
        if not word.startswith("-"):
            return f"{word}: is one word too many"
        settings = any(action.dest == "overrides" for action in self._actions)
        return unknown_flag(word, value_behind(word, self.given), known, settings)


def value_behind(option: str, words: Sequence[str]) -> str:
    """The word after `option`, unless it is an option itself."""
    behind = next((after for word, after in pairwise(words) if word == option), "")
    return "" if behind.startswith("--") else behind


def count_of(minimum: int, maximum: float = math.inf) -> type[int]:
    """An argparse type: a whole number not below `minimum`, nor above `maximum`."""
    range_of = f"of at least {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"

    def parse(text: str) -> int:
        try:
            value = int(text) if text.isdecimal() else float(text)  # 1e4 is a whole number
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum or value != value // 1:
            raise argparse.ArgumentTypeError(f"{text}: must be a whole number {range_of}")
        return int(value)

    return parse  # type: ignore[return-value]


def number_above(minimum: float) -> type[float]:
    """An argparse type: a finite number above `minimum`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not minimum < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: must be a number above {minimum:g}")
        return value

    return parse  # type: ignore[return-value]
