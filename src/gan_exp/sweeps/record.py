"""What a sweep's directory says of its jobs: the words that made them, those that were added later included.

Hydra's multirun.yaml holds the configuration and the newest words; the key `expansions` is ours: everything that was
asked for, in its order, so that the numbers of the jobs stay the same. A sweep of an older version has the words alone.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gan_exp.config.plain_yaml import read_yaml, yaml_text
from gan_exp.errors import UserError
from gan_exp.runs.run_names import SWEEP_FILE
from gan_exp.runtime.files import write_atomically
from gan_exp.sweeps.words import Expansion

EXPANSIONS = "expansions"


class Record(NamedTuple):
    expansions: list[Expansion]  # the oldest first
    hydra: list[str]  # the words for Hydra itself


def read_record(place: Path) -> Record:
    """The record of the sweep in `place`. Raises UserError if it can't be read, or lies about the runs' place.

    Words that could run code are refused: Hydra builds what its own nodes name.
    """
    path = place / SWEEP_FILE
    try:
        plain = read_yaml(path.read_text(encoding="utf-8"))
        overrides = plain["hydra"]["overrides"]
        hydra = [str(word) for word in overrides["hydra"]]
        expansions = [_expansion(one) for one in plain.get(EXPANSIONS) or [{"words": overrides["task"]}]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: can't be read ({' '.join(str(error).split())})") from error
    for word in (word for one in expansions for word in one.words):
        if "hydra" in word.partition("=")[0] or word.startswith("-"):
            raise UserError(f"{path}: {word} is no value of a run")
    for word in hydra:
        _refuse_runs_elsewhere(place, word)
    return Record(expansions, hydra)


def _expansion(plain: Any) -> Expansion:
    linked = plain.get("linked") or ()
    return Expansion(tuple(map(str, plain["words"])), tuple(tuple(map(str, keys)) for keys in linked))


def _refuse_runs_elsewhere(place: Path, word: str) -> None:
    """Only runs inside the sweep's directory are found; others would be trained a second time."""
    key, _, value = word.partition("=")
    parts = Path(value.strip("'\"")).parts
    if key.lstrip("+") == "hydra.sweep.subdir" and (".." in parts or parts[:1] in (("/",), ("~",))):
        raise UserError(f"{word}: the runs of {place} lie outside of it; resume each by its own directory")


def write_record(place: Path, hydras: str, expansions: Iterable[Expansion]) -> None:
    """`hydras` is Hydra's own record, as YAML: the configuration of the sweep, with the node hydra."""
    ours = [{"words": list(one.words), "linked": [list(keys) for keys in one.linked]} for one in expansions]
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / SWEEP_FILE, hydras + yaml_text({EXPANSIONS: ours}))


def grown(newest: Expansion, words: Iterable[str]) -> Expansion:
    """`newest` with the values of `words` in the place of its own.

    Raises UserError for a single value of a key that has only one in the sweep: that would be another sweep.
    """
    own = {_key(word): word for word in newest.words}
    for word in words:
        if not _has_several(word) and not _has_several(own.get(_key(word), "")):
            raise UserError(
                f"{word}: the runs of a sweep keep their values; resume one of them by its own directory, or add runs "
                f"to the sweep with several values, as in 'seed=range(0,5)'"
            )
        own[_key(word)] = word
    return Expansion(tuple(own.values()), newest.linked)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _has_several(word: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with suppress(HydraException, ValueError):  # it will be refused for that
        return bool(word) and OverridesParser.create().parse_override(word).is_sweep_override()
    return True
