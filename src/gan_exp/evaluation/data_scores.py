"""The data's own scores, kept on disk: with a large feature extractor they take minutes."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from gan_exp import __version__
from gan_exp.errors import UserError
from gan_exp.evaluation.features.trained import cache_folder
from gan_exp.runtime.files import json_text, write_atomically


class DataScores(NamedTuple):
    scores: Mapping[str, float | None]  # None where the score isn't finite
    what: str  # which images were compared with which
    images: int  # measured in the place of samples


def cached_data_scores(key: object, make: Callable[[], DataScores]) -> DataScores:
    """The scores that an earlier call with the same `key` kept, in any process; otherwise those of `make`."""
    named = hashlib.blake2b(repr((__version__, key)).encode(), digest_size=12).hexdigest()
    try:
        path = cache_folder() / f"data-scores-{named}.json"
    except UserError:
        return make()
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return _read(json.loads(path.read_text(encoding="utf-8")))
    made = make()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json_text(made._asdict()))
    return made


def _read(content: Any) -> DataScores:
    scores = {str(name): None if value is None else float(value) for name, value in content["scores"].items()}
    return DataScores(scores, str(content["what"]), int(content["images"]))
