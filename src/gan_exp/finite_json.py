"""JSON as its standard has it: there is no NaN and no Infinity in it, which other readers refuse."""

import json
import math
from typing import Any


def json_text(content: Any, indent: int | None = None) -> str:
    """`content` with null for each number that isn't finite; whoever writes one says why beside it."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
