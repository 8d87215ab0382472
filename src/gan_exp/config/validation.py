"""Validation of plain values by a pydantic schema."""

import copy
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gan_exp.config.mistakes.values import place_of, wrong_value
from gan_exp.config.schema import Node
from gan_exp.errors import UserError

Schema = TypeVar("Schema", bound=BaseModel)
SWITCHES = {"yes": True, "no": False, "on": True, "off": False, "true": True, "false": False}
EXACT = 2**53  # floats of whole numbers up to here are those numbers


def validated(schema: type[Schema], plain: Node, path: str) -> Schema:
    """`plain` as an instance of `schema`. Raises UserError for the first key that doesn't fit."""
    plain = as_meant(schema, plain, path)
    try:
        # Through JSON, where a list may stand for a tuple even in strict mode, as it does in YAML.
        return schema.model_validate_json(_json(plain, path))
    except ValidationError as error:
        raise UserError(wrong_value(error, schema, plain, path)) from None


def as_meant(schema: type[BaseModel], plain: Node, path: str) -> Node:
    """A copy with whole numbers written 1e4 and switches written yes or off converted to the schema's types."""
    try:
        schema.model_validate_json(_json(plain, path))
    except ValidationError as error:
        meant = copy.deepcopy(plain)
        for fault in error.errors():
            place = place_of(fault, plain)
            value = _meant(fault["type"], fault["input"])
            if value is not None and place:
                _at(meant, place[:-1])[place[-1]] = value
        return meant
    return plain


def _meant(fault: str, value: object) -> int | bool | None:
    if isinstance(value, float) and fault in ("int_type", "int_from_float") and abs(value) < EXACT:
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and fault in ("bool_type", "bool_parsing"):
        return SWITCHES.get(value.lower())
    return None


def _at(node: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        node = node[part]
    return node


def _json(plain: Node, path: str) -> str:
    try:
        return json.dumps(plain)
    except TypeError as error:
        raise UserError(f"{path or 'the configuration'}: holds something that is no plain value ({error})") from None
