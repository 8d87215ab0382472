"""The classes that `_target_` may name, the check of their arguments, and their construction.

The signature is the schema: annotations are types and ranges, and keys that aren't parameters are refused.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import create_model

from gan_exp.config.schema import Checked, DatasetConfig, Node, PenaltyConfig
from gan_exp.config.validation import as_meant, validated
from gan_exp.errors import UserError
from gan_exp.ranges import Fraction, NonNegativeFloat, PositiveFloat

TRUST_VARIABLE = "GAN_EXP_TRUST"  # packages of the user's own that `_target_` may name; set by `--trust`


# The modules whose classes each group's `_target_` may name.
ALLOWED_TARGETS = {
    "dataset": ("gan_exp.data",),
    "model": ("gan_exp.models",),
    "loss": ("gan_exp.losses",),
    "penalty": ("gan_exp.penalties",),
    "augment": ("gan_exp.augment",),
    "optimizer": ("torch.optim", "gan_exp.optimizers"),
    "schedule": ("gan_exp.schedules",),
}


# torch.optim's own annotations are too wide to check by: they allow tensors, and have no ranges.
OPTIMIZER_ARGUMENTS: dict[str, Any] = {
    "lr": PositiveFloat,
    "betas": tuple[Fraction, Fraction],
    "eps": PositiveFloat,
    "weight_decay": NonNegativeFloat,
    "momentum": Fraction,
    "dampening": Fraction,
    "alpha": Fraction,
    "nesterov": bool,
    "amsgrad": bool,
    "centered": bool,
    "foreach": bool | None,
    "fused": bool | None,
    "maximize": Literal[False],
    "differentiable": Literal[False],
    "capturable": bool,
}


def trust(modules: Sequence[str]) -> None:
    """Let `_target_` name the user's own modules, here and in the processes of a parallel sweep."""
    if modules:
        os.environ[TRUST_VARIABLE] = ",".join([*filter(None, [os.environ.get(TRUST_VARIABLE)]), *modules])


@contextmanager
def trusting(modules: Sequence[str]) -> Iterator[None]:
    """Within this block `_target_` may name the user's own `modules`, and those trusted already."""
    before = os.environ.get(TRUST_VARIABLE)
    if modules:
        os.environ[TRUST_VARIABLE] = ",".join(dict.fromkeys([*filter(None, (before or "").split(",")), *modules]))
    try:
        yield
    finally:
        if modules and before is None:
            del os.environ[TRUST_VARIABLE]
        elif modules and before is not None:
            os.environ[TRUST_VARIABLE] = before


def check_node(path: str, node: Node) -> None:
    """Check a node's keys and values by the signature of what it names, and convert them (1e4 to a count)."""
    target = resolve_target(path, node.get("_target_"))
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except NameError:  # a user's own code may have annotations for type checkers only
        hints = {}
    fields: dict[str, Any] = {}
    takes_any = False
    for name, parameter in inspect.signature(target).parameters.items():
        if name in INJECTED.get(path.split(".")[0], ()):
            continue
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            takes_any = True
            continue
        annotation = hints.get(name, Any)
        if path.startswith("optimizer"):
            annotation = OPTIMIZER_ARGUMENTS.get(name, annotation)
        required = parameter.default is inspect.Parameter.empty
        fields[name] = (annotation, ... if required else None)
    schema = create_model("Node", __base__=RESERVED.get(path, Checked), **fields)
    known = node if not takes_any else schema.model_fields
    given = {key: value for key, value in node.items() if key != "_target_" and key in known}
    node.update(as_meant(schema, given, path))
    validated(schema, {key: node[key] for key in given}, path)


# Groups whose nodes have keys beside the arguments of what they name.
RESERVED: dict[str, type[Checked]] = {"dataset": DatasetConfig, "penalty": PenaltyConfig}


# Arguments that the package passes itself, so that a YAML can't.
INJECTED = {
    "dataset": ("part",),
    "model": ("latent_dim", "image_shape", "num_classes"),
    "optimizer": ("params",),
}


def resolve_target(path: str, target: object) -> Callable[..., Any]:
    """The class or function that `target` names, if the group may name it.

    Nothing is imported before the prefix is known to be allowed. Raises UserError otherwise.
    """
    if not isinstance(target, str) or "." not in target:
        raise UserError(f"{path}._target_={target}: must be the dotted name of a class, such as gan_exp.losses.Hinge")
    what = f"{path}._target_={target}"
    allowed = ALLOWED_TARGETS[path.split(".")[0]]
    found = import_allowed(what, target, allowed)
    # A name that a module merely imported (`gan_exp.data.x.os`) is not part of it.
    if not callable(found) or not _inside(f"{getattr(found, '__module__', '')}.", allowed + trusted_modules()):
        raise UserError(f"{what}: is not a class or function of {target.rpartition('.')[0]}")
    return found  # type: ignore[no-any-return]


def import_allowed(what: str, target: str, allowed: tuple[str, ...]) -> Any:
    """The object with the dotted name `target`, if it lies below an `allowed` name or a trusted one.

    Nothing is imported before that is known. `what` begins the sentence of the UserError.
    """
    trusted = trusted_modules()
    if not _inside(target, allowed + trusted):
        raise UserError(
            f"{what}: only {' and '.join(allowed)} may be named there; "
            f"if this is code of your own, allow it with --trust {target.split('.')[0]}"
        )
    module, _, name = target.rpartition(".")
    if trusted and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # for a user's module in the current folder
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{what}: can't be imported ({error}); check the spelling") from error


def trusted_modules() -> tuple[str, ...]:
    """The user's own modules that a configuration may name."""
    return tuple(filter(None, os.environ.get(TRUST_VARIABLE, "").split(",")))


def _inside(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefix + ".") for prefix in prefixes)


def build_node(path: str, node: Node, **injected: Any) -> Any:
    """Call what a checked node names; `path` is where it stands in the configuration."""
    target = resolve_target(path, node["_target_"])
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    try:
        return target(**injected, **arguments)
    except (ValueError, TypeError, RuntimeError) as error:  # RuntimeError of torch: not enough memory
        raise UserError(f"{path}: {error}") from error
