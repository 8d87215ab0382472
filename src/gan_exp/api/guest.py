"""Runs the package's work inside somebody else's program, which finds everything as it left it."""

import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from gan_exp.config.targets import trusting
from gan_exp.errors import UserError, or_list
from gan_exp.runtime.signals import Interrupted, recording_signals

P = ParamSpec("P")
R = TypeVar("R")

# Sentences name the options of the commands; here they are arguments.
ARGUMENTS = (
    (r"^--no-average:", "average=False:"),
    (r"^--class (.+?): ", r"label=\1: "),
    (r"^--([a-z_]+) (.+?): ", r"\1=\2: "),
    (r"--trust (\S+)", r"trust=['\1']"),
)


@dataclass
class Visit:
    """What the program is told when a signal ends the work: `place` is the run's directory, once it is known."""

    place: str | None = None


@contextmanager
def guest(trust: Sequence[str] = ()) -> Iterator[Visit]:
    """Within this block signals are recorded and the modules `trust` may be named; afterwards all is as before.

    Settings of torch, random states, signal handlers and environment variables are restored. Then a signal does to the
    program what it would have done at once: SIGINT raises KeyboardInterrupt. If the program handles it otherwise, the
    block ends as usual, once the run is saved.
    """
    from gan_exp.runtime.device import own_settings
    from gan_exp.runtime.randomness import random_state_kept

    visit = Visit()
    try:
        with (
            _environment_kept(),
            trusting(trust),
            random_state_kept(),
            own_settings(),
            recording_signals(embedded=True),
        ):
            yield visit
    except Interrupted as interruption:
        saved, received = interruption.reported, interruption.signal
        told = (
            f"the run is saved; gan_exp.resume({visit.place!r}) continues it" if saved else "there was nothing to save"
        )
        if received == signal.SIGINT and signal.getsignal(received) is signal.default_int_handler:
            raise KeyboardInterrupt(told) from None
        signal.raise_signal(received)
        if not saved:
            raise KeyboardInterrupt(told) from None


@contextmanager
def _environment_kept() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def plainly(function: Callable[P, R]) -> Callable[P, R]:
    """Bad input and interruptions are told in a sentence without a traceback of the package.

    Sentences about bad input name arguments, not the options of a command.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True  # as IPython and pytest understand it
        try:
            return function(*args, **kwargs)
        except UserError as error:
            sentence = str(error)
            for option, argument in ARGUMENTS:
                sentence = re.sub(option, argument, sentence)
            told: BaseException = UserError(sentence)
        except KeyboardInterrupt as interruption:
            if not interruption.args:  # not by `guest`
                raise
            told = KeyboardInterrupt(*interruption.args)
        raise told

    return wrapped


def words_of(given: Iterable[str], argument: str, example: str) -> list[str]:
    """The words of an `argument` that is a list. Raises UserError for one string, which is a list of letters."""
    words = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if isinstance(given, str) or not all(isinstance(word, str) for word in words):
        raise UserError(f"{argument}={given!r}: must be a list of strings, such as {argument}=[{example!r}]")
    return words


def one_of(argument: str, value: object, known: Sequence[object]) -> None:
    """Raises UserError for a value that is none of them."""
    if value not in known:
        raise UserError(f"{argument}={value!r}: must be {or_list([repr(one) for one in known])}")
