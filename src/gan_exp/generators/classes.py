"""Classes by their names or numbers."""

from collections.abc import Sequence

from gan_exp.errors import UserError, did_you_mean
from gan_exp.runtime.words import plural

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MOST_LISTED = 12


def find_class(wanted: str | int, names: Sequence[str]) -> int:
    """The number of the class `wanted`: a name, whatever its case, or a number from 0.

    A name goes before a number that is another class; an int is always a number. Where the names are digits, `seven`
    stands for 7. Raises UserError, which lists names.
    """
    if isinstance(wanted, str):
        found = _named(wanted.strip(), names)
        if found is not None:
            return found
        if not wanted.strip().isdecimal():
            raise UserError(f"--class {wanted}: no such class; {_known(wanted, names)}")
    if not 0 <= int(wanted) < len(names):
        raise UserError(
            f"--class {wanted}: the run has {plural(len(names), 'class')}, numbered from 0; "
            f"{_known(str(wanted), names)}"
        )
    return int(wanted)


def _named(wanted: str, names: Sequence[str]) -> int | None:
    folded = [name.casefold() for name in names]
    if wanted in names:
        return names.index(wanted)
    if folded.count(wanted.casefold()) == 1:
        return folded.index(wanted.casefold())
    if wanted.casefold() in DIGITS and str(DIGITS.index(wanted.casefold())) in names:
        return names.index(str(DIGITS.index(wanted.casefold())))
    return None


def _known(wanted: str, names: Sequence[str]) -> str:
    """The names, or some of them, and the nearest one."""
    meant = did_you_mean(wanted, names, otherwise=" ").lstrip()
    some = ", ".join(names[:MOST_LISTED])
    rest = f" and {len(names) - MOST_LISTED} others" if len(names) > MOST_LISTED else ""
    return f"{meant}{' ' * bool(meant)}it has {some}{rest}"
