"""What the data itself scores, measured as samples are: kept, since with a large feature network it takes minutes."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from gan_exp import __version__
from gan_exp.errors import UserError
from gan_exp.evaluation.features.cnn import cache_folder
from gan_exp.runtime.files import json_text, write_atomically


class Yardstick(NamedTuple):
    scores: Mapping[str, float | None]  # None of one that isn't finite
    what: str  # was compared with what
    images: int  # in the place of samples


def kept(key: object, make: Callable[[], Yardstick]) -> Yardstick:
    """That of an earlier call with the same `key`, this or another process's; made anew where nothing can be kept."""
    named = hashlib.blake2b(repr((__version__, key)).encode(), digest_size=12).hexdigest()
    try:
        path = cache_folder() / f"yardstick-{named}.json"
    except UserError:
        return make()
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return _read(json.loads(path.read_text(encoding="utf-8")))
    made = make()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json_text(made._asdict()))
    return made


def _read(content: Any) -> Yardstick:
    scores = {str(name): None if value is None else float(value) for name, value in content["scores"].items()}
    return Yardstick(scores, str(content["what"]), int(content["images"]))
