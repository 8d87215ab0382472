"""The words of a sweep as those of its jobs: every combination of the values, and linked values together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from typing import Any, NamedTuple

from gan_exp.errors import UserError
from gan_exp.runtime.words import plural

SEED = "seed"
MOST = 100_000  # jobs: more are a typing mistake


class Expansion(NamedTuple):
    """Words with several values (lr=1e-3,1e-4), and the keys that are linked: the first values of each go together."""

    words: tuple[str, ...]
    linked: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Choices:
    """What the user chose beside the words. `may_continue`: what the sweep's directory holds goes on and may grow."""

    at_once: int | None = None  # jobs; None: as many as fit
    stop_on_failure: bool = False
    linked: tuple[tuple[str, ...], ...] = ()
    may_continue: bool = False


def choices(
    jobs: str | None = None, on_failure: str | None = None, linked: Sequence[str] = (), may_continue: bool = False
) -> Choices:
    """From the values of --jobs, --on-failure and each --zip. Raises UserError."""
    if jobs is not None and (not jobs.isdecimal() or int(jobs) < 1):
        raise UserError(f"--jobs {jobs}: must be a whole number of at least 1, such as --jobs 2")
    if on_failure not in (None, "continue", "stop"):
        raise UserError(f"--on-failure {on_failure}: must be continue or stop")
    groups = tuple(tuple(key.strip() for key in keys.split(",")) for keys in linked)
    for keys, group in zip(linked, groups, strict=True):
        if len(set(group)) < 2 or "" in group:
            raise UserError(f"--zip {keys}: must name at least two keys, such as --zip lr,steps")
    return Choices(None if jobs is None else int(jobs), on_failure == "stop", groups, may_continue)


def jobs_of(expansion: Expansion, loader: Any = None) -> list[list[str]]:
    """The words of each job, the last key changing fastest. `loader` finds the options of glob(*).

    Raises UserError for an empty range, values without steps between them, and linked keys of different lengths.
    """
    dimensions = _dimensions(expansion, loader)
    count = prod(len(choices) for choices in dimensions.values())
    if count > MOST:
        raise UserError(f"{' '.join(expansion.words)}: that makes {count:,} runs; a sweep has at most {MOST:,}")
    return [[word for choice in chosen for word in choice] for chosen in product(*dimensions.values())]


def size(expansion: Expansion, loader: Any = None) -> str:
    """For example "12 runs: 3 lr x 2 model x 2 seeds": seeds are repeats, all else is what is compared."""
    several = {key: len(choices) for key, choices in _dimensions(expansion, loader).items() if len(choices) > 1}
    repeats = several.pop(SEED, None)
    parts = [f"{count} {key}" for key, count in several.items()] + ([f"{repeats} seeds"] if repeats else [])
    count = prod(several.values()) * (repeats or 1)
    runs = plural(count, "run")
    return f"{runs}: {' x '.join(parts)}" if parts else runs


def _dimensions(expansion: Expansion, loader: Any) -> dict[str, list[list[str]]]:
    """For each key its choices, each a list of words; linked keys are one dimension, called lr+steps."""
    values = _values(expansion.words, loader)
    linked = {key: group for group in expansion.linked for key in group}
    dimensions: dict[str, list[list[str]]] = {}
    for key, own in values.items():
        group = linked.get(key.lstrip("+"))
        if group is None:
            dimensions[key] = [[word] for word in own]
            continue
        name = "+".join(group)
        before = dimensions.get(name)
        if before is None:
            _refuse_unequal(group, values)
            dimensions[name] = [[word] for word in own]
        else:
            dimensions[name] = [[*words, word] for words, word in zip(before, own, strict=True)]
    return dimensions


def _refuse_unequal(group: Sequence[str], values: dict[str, list[str]]) -> None:
    lengths = {key: len(own) for name, own in values.items() if (key := name.lstrip("+")) in group}
    option = f"--zip {','.join(group)}"
    for key in group:
        if key not in lengths:
            raise UserError(f"{option}: {key} has no values here; give them, as in {key}=1,2")
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {lengths[key]}" for key in group)
        raise UserError(f"{option}: {counts} values; linked keys need as many values as each other")


def _values(words: Iterable[str], loader: Any) -> dict[str, list[str]]:
    """The words that each key stands for; the last word of a key counts."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=loader)
    found: dict[str, list[str]] = {}
    for word in words:
        override = parser.parse_override(word)
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(
                f"{word}: names no single values; give them (choice(...), range(start,stop,step)), or let "
                f"`gan-exp search` choose"
            )
        if override.is_sweep_override() and len(list(islice(override.sweep_iterator(), MOST + 1))) > MOST:
            raise UserError(f"{word}: has more than {MOST:,} values")
        jobs = BasicSweeper.split_arguments([override], None)[0]
        if not jobs:
            raise UserError(f"{word}: is empty, so that there is nothing to train")
        found[override.get_key_element()] = [own for job in jobs for own in job]
    return found
