"""Command lines other than `train`'s: argparse, with errors in our words."""

import argparse
import re
from typing import NoReturn

from gan_exp.errors import UserError, did_you_mean

RUN_HELP = "`latest`, a run's directory, or its short name: 10-10-39-mlp-digits of outputs/<date>/10-10-39-mlp-digits"


class Parser(argparse.ArgumentParser):
    """Raises UserError where argparse would print usage and exit."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"gan-exp {command}", description=description, allow_abbrev=False)

    def add_trust(self) -> None:
        """For commands that build what a run names."""
        self.add_argument(
            "--trust", action="append", default=[], metavar="MODULE", help="code of yours that the run names"
        )

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: (\S+)", message)
        if unknown:
            message = unknown_option(
                unknown[1], [option for action in self._actions for option in action.option_strings]
            )
        raise UserError(f"{self.prog.removeprefix('gan-exp ')}: {message} (see {self.prog} --help)")


def unknown_option(option: str, known: list[str]) -> str:
    word = option.split("=", 1)[0]
    return f"{word}: unknown option; {did_you_mean(word, known)}"


def count_of(minimum: int) -> type[int]:
    """An argparse type: a whole number not below `minimum`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least {minimum}")
        return value

    return parse  # type: ignore[return-value]
