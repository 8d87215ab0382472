"""The sentence for the first value that doesn't fit the schema."""

import inspect
import json
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from gan_exp.config.mistakes.synonyms import VALUES, plain_word
from gan_exp.config.mistakes.unknown import has_keys, unknown_key
from gan_exp.config.schema import Node
from gan_exp.errors import did_you_mean


def wrong_value(error: ValidationError, schema: type[BaseModel], plain: Node, path: str) -> str:
    """The sentence for the first wrong key; of several types that it may have, for the one that fits it best."""
    faults = [(place_of(fault, plain), fault) for fault in error.errors()]
    top = faults[0][0][:1]
    location, fault = max(faults, key=lambda found: len(found[0]) if found[0][:1] == top else 0)
    key = ".".join([*filter(None, [path]), *map(str, location)])
    if fault["type"] == "missing":
        return f"{key}: is missing"
    if fault["type"] == "extra_forbidden":
        return unknown_key(key, _known_keys(schema, path, location), [f"{key}={_shown(fault['input'])}"])
    if fault["type"] in ("dict_type", "model_type"):
        return f"{key}={_shown(fault['input'])}: {has_keys(key, fault['input'])}"
    first, *others = dict.fromkeys(_requirement(other) for place, other in faults if place == location)
    return f"{key}={_shown(fault['input'])}: {' or '.join([first, *(one.removeprefix('must be ') for one in others)])}"


def place_of(fault: Any, plain: Node) -> tuple[str | int, ...]:
    """The path to the fault, without the names of types that pydantic inserts for a union."""
    place: list[str | int] = []
    node: Any = plain
    for part in fault["loc"]:
        if part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node)):
            node = node[part]
            place.append(part)
    return (*place, fault["loc"][-1]) if fault["type"] == "missing" else tuple(place)


def _requirement(first: Any) -> str:
    if first["type"] == "string_pattern_mismatch":
        return "must begin with a letter or a digit and hold only letters, digits, spaces and . , = + - _ ~ ' ( )"
    if first["type"] in ("bool_type", "bool_parsing"):
        return "must be true or false"
    if first["type"] in ("int_type", "int_from_float", "int_parsing"):
        return "must be a whole number"
    if first["type"] == "list_type" and isinstance(first["input"], int | float):
        return f"must be a list, such as [{first['input']}]"
    sentence = re.sub(r"^\w+ should", "must", str(first["msg"]))
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        known = re.findall(r"'([^']*)'", sentence)
        meant = VALUES.get((str(first["loc"][-1]), plain_word(first["input"])))
        hint = f"did you mean {meant}?" if meant in known else did_you_mean(first["input"], known, otherwise=" ")
        sentence += f"; {hint}" if hint.strip() else ""
    return sentence.replace(" after validation", "").replace("a valid array", "a list")


def _known_keys(schema: type[BaseModel], path: str, location: tuple[Any, ...]) -> list[str]:
    """The keys that could stand where the unknown one does."""
    for name in location[:-1]:
        annotation = schema.model_fields[str(name)].annotation
        if not (inspect.isclass(annotation) and issubclass(annotation, BaseModel)):
            return []
        schema = annotation
    prefix = ".".join([*filter(None, [path]), *map(str, location[:-1])])
    return [f"{prefix}.{key}" if prefix else key for key in schema.model_fields]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
