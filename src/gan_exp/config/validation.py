"""Plain values against a schema, and the sentence for the first one that doesn't fit."""

import copy
import inspect
import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gan_exp.config.catalog import groups
from gan_exp.config.hints import unknown_key
from gan_exp.errors import UserError, did_you_mean

Node = dict[str, Any]
Schema = TypeVar("Schema", bound=BaseModel)
SWITCHES = {"yes": True, "no": False, "on": True, "off": False, "true": True, "false": False}
EXACT = 2**53  # floats of whole numbers up to here are those numbers


def validated(schema: type[Schema], plain: Node, path: str) -> Schema:
    """`plain` as `schema` has it. Raises UserError for the first key that doesn't fit."""
    return _model(schema, as_meant(schema, plain, path), path)


def as_meant(schema: type[BaseModel], plain: Node, path: str) -> Node:
    """A copy in which whole numbers written 1e4 and switches written yes or off are what the schema asks for."""
    try:
        schema.model_validate_json(_json(plain, path))
    except ValidationError as error:
        meant = copy.deepcopy(plain)
        for fault in error.errors():
            place = _place(fault, plain)
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


def _model(schema: type[Schema], plain: Node, path: str) -> Schema:
    try:
        # Through JSON, where a list may stand for a tuple even in strict mode, as it does in YAML.
        return schema.model_validate_json(_json(plain, path))
    except ValidationError as error:
        raise UserError(_sentence(error, schema, plain, path)) from None


def _json(plain: Node, path: str) -> str:
    try:
        return json.dumps(plain)
    except TypeError as error:
        raise UserError(f"{path or 'the configuration'}: holds something that is no plain value ({error})") from None


def _sentence(error: ValidationError, schema: type[BaseModel], plain: Node, path: str) -> str:
    """What is wrong with the first wrong key; where it may be one of several types, by the one that fits it best."""
    faults = [(_place(fault, plain), fault) for fault in error.errors()]
    top = faults[0][0][:1]
    location, fault = max(faults, key=lambda found: len(found[0]) if found[0][:1] == top else 0)
    key = ".".join([*filter(None, [path]), *map(str, location)])
    if fault["type"] == "missing":
        return f"{key}: is missing"
    if fault["type"] == "extra_forbidden":
        return unknown_key(key, _known_keys(schema, path, location), [f"{key}={_shown(fault['input'])}"])
    if fault["type"] in ("dict_type", "model_type"):
        return f"{key}={_shown(fault['input'])}: {_has_keys(key, fault['input'])}"
    wanted = dict.fromkeys(_requirement(other) for place, other in faults if place == location)
    return f"{key}={_shown(fault['input'])}: {' or '.join(wanted)}"


def _has_keys(key: str, value: object) -> str:
    """Where a value stands in the place of keys: an option of the group is chosen by the group's name."""
    group = key.partition(".")[0]
    options = groups().get(group, {})
    if value in options:
        return f"{key} has keys of its own; to choose {value}: {group}={value}"
    return f"has keys of its own; set those, or choose an option: {group}={'|'.join(options)}"


def _place(fault: Any, plain: Node) -> tuple[str | int, ...]:
    """Where the fault is, without the names of types that pydantic puts between the keys of a union."""
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
    sentence = re.sub(r"^\w+ should", "must", str(first["msg"]))
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        hint = did_you_mean(first["input"], re.findall(r"'([^']*)'", sentence), otherwise=" ")
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
