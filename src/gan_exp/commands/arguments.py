"""Command lines other than `train`'s: argparse, with errors in our words."""

import argparse
import difflib
import re
from typing import NoReturn

from gan_exp.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises UserError where argparse would print usage and exit."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"gan-exp {command}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: (\S+)", message)
        if unknown:
            message = unknown_option(
                unknown[1], [option for action in self._actions for option in action.option_strings]
            )
        raise UserError(f"{self.prog}: {message} (see {self.prog} --help)")


def unknown_option(option: str, known: list[str]) -> str:
    word = option.split("=", 1)[0]
    nearest = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
    return f"{word}: unknown option; {hint}"


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
