"""The configuration: one flat, typed root and groups that name a class with `_target_`, checked once, resolved.

The root's types and ranges stand here. A group's are the signature of the class it names: its annotations are the
schema, and a key that isn't a parameter is refused.
"""

import importlib
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, create_model

from gan_exp.errors import UserError
from gan_exp.hints import unknown_key
from gan_exp.ranges import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from gan_exp.validation import Node, as_meant, validated

TRUST_VARIABLE = "GAN_EXP_TRUST"  # packages of the user's own that `_target_` may name; set by `--trust`

_STRICT = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, frozen=True, arbitrary_types_allowed=True, protected_namespaces=()
)

# Where each group's `_target_` may point.
ALLOWED_TARGETS = {
    "dataset": ("gan_exp.data",),
    "model": ("gan_exp.models",),
    "loss": ("gan_exp.losses",),
    "penalty": ("gan_exp.penalties",),
    "augment": ("gan_exp.augment",),
    "optimizer": ("torch.optim", "gan_exp.optimizers"),
    "schedule": ("gan_exp.schedules",),
}

# torch.optim annotates its arguments too widely to check them (Tensors, no ranges).
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


class _Checked(BaseModel):
    model_config = _STRICT


class DatasetConfig(_Checked):
    """What every data set has beside its `_target_`'s arguments.

    `resize` is a side or [height, width] in pixels. `held_out` is the share of the images that is not trained on and
    only judges, for sets that have no such part of their own.
    """

    name: str
    held_out: Fraction = 0.0
    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None


class ModelConfig(_Checked):
    name: str
    generator: Node
    discriminator: Node


class OptimizerConfig(_Checked):
    generator: Node
    discriminator: Node


class PenaltyConfig(_Checked):
    """Beside the arguments of `_target_`: `every` k-th D update has the penalty, k times as strong (lazily)."""

    every: PositiveInt = 1


class ScheduleConfig(_Checked):
    """Factors on the configured value as functions of progress; None leaves it as it is."""

    lr: Node
    penalty: Node | None = None
    beta2: Node | None = None
    ema: Node | None = None
    augment: Node | None = None


class DeviceConfig(_Checked):
    name: Literal["auto", "cpu", "cuda", "mps"]
    index: NonNegativeInt
    threads: PositiveInt | None
    deterministic: bool
    tf32: bool = False


BestMetric = Literal[
    "fid",
    "kid",
    "score",
    "precision",
    "recall",
    "density",
    "coverage",
    "class_kl",
    "modes",
    "high_quality",
    "mode_kl",
]


class Config(_Checked):
    """See `conf/config.yaml` for what each key does and when to change it."""

    name: str = Field(pattern=r"^[^\W_][\w .,=+()'~-]*$", max_length=100)
    steps: PositiveInt
    batch_size: Annotated[int, Ge(1), Le(1_000_000)]  # more is a slip of the finger
    lr: PositiveFloat
    seed: NonNegativeInt
    n_critic: PositiveInt
    latent_dim: PositiveInt
    ema_halflife_kimg: NonNegativeFloat
    ema_ramp_up: PositiveFloat | None = 0.05  # what runs had that were begun before there was a key for it
    sampling: Literal["with_replacement", "shuffled"]
    conditional: bool
    pac: PositiveInt
    spectral_norm: bool
    instance_noise: NonNegativeFloat
    split_updates: bool
    inference_fakes: bool
    reuse_fakes: bool = False
    fast_path: Literal["auto", "plain", "graph"] = "plain"  # what runs had that were begun before there was another
    log_every_steps: PositiveInt
    sample_every_steps: PositiveInt
    checkpoint_every_steps: PositiveInt
    keep_checkpoints: PositiveInt
    evaluate_every_steps: NonNegativeInt = 0  # these three have defaults for runs from before there were evaluations
    evaluate_count: Annotated[int, Ge(10)] = 5000
    best_metric: BestMetric = "fid"
    grid_rows: PositiveInt
    grid_columns: PositiveInt
    display: Literal["auto", "live", "plain", "quiet"]
    dataset: Node
    model: ModelConfig
    loss: Node
    penalty: Node
    augment: Node
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    device: DeviceConfig

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """Each node that names a class, with its path in the configuration."""
        yield "dataset", {k: v for k, v in self.dataset.items() if k not in DatasetConfig.model_fields}
        yield "model.generator", self.model.generator
        yield "model.discriminator", self.model.discriminator
        yield "loss", self.loss
        if self.penalty.get("_target_") is not None:
            yield "penalty", {k: v for k, v in self.penalty.items() if k not in PenaltyConfig.model_fields}
        if self.augment.get("_target_") is not None:
            yield "augment", self.augment
        yield "optimizer.generator", self.optimizer.generator
        yield "optimizer.discriminator", self.optimizer.discriminator
        for name in ScheduleConfig.model_fields:
            schedule = getattr(self.schedule, name)
            if schedule is not None:
                yield f"schedule.{name}", schedule

    def node(self, path: str) -> Node | None:
        return dict(self.nodes()).get(path)


def check(plain: dict[str, Any]) -> Config:
    """The checked configuration from a resolved, plain one.

    Raises UserError with one sentence that names the key, the value and the remedy.
    """
    _refuse_no_values(plain)
    config = validated(Config, plain, "")
    for path, node in config.nodes():
        check_node(path, {"dataset": config.dataset, "penalty": config.penalty}.get(path, node))
    for group in ("penalty", "augment"):
        if config.node(group) is None:
            _refuse_leftovers(group, getattr(config, group))
    _refuse_contradictions(config)
    return config


def _refuse_contradictions(config: Config) -> None:
    """Settings that are each right and together make no game."""
    if config.split_updates and config.node("penalty") is not None:
        raise UserError("split_updates=true has no place for a penalty: set penalty=none or split_updates=false")
    if config.split_updates and not hasattr(resolve_target("loss", config.loss["_target_"]), "real"):
        raise UserError(
            "split_updates=true needs a loss with a term for reals and one for fakes: set loss=non_saturating"
        )
    if config.reuse_fakes and config.inference_fakes:
        raise UserError(
            "reuse_fakes=true has G make its fakes in training mode, inference_fakes=true in inference mode: set one"
        )
    if config.batch_size % config.pac:
        raise UserError(f"batch_size={config.batch_size}: must be a multiple of pac={config.pac}")
    if config.pac > 1 and config.conditional:
        raise UserError(
            f"pac={config.pac}: D can't be told one label for several images; set conditional=false or pac=1"
        )
    if config.schedule.augment is not None and not _augment_is_scheduled(config):
        raise UserError(
            "schedule.augment: there is no augment.p that it could multiply; set augment=pipeline or "
            "augment=diffaugment, or leave schedule.augment out"
        )


def augment_adapts(config: Config) -> bool:
    """Whether the augmentation steers itself by D's logits: its class takes the loss's `boundary`."""
    target = config.augment.get("_target_")
    return target is not None and "boundary" in inspect.signature(resolve_target("augment", target)).parameters


def _augment_is_scheduled(config: Config) -> bool:
    target = config.augment.get("_target_")
    return target is not None and hasattr(resolve_target("augment", target), "scale_p")


def check_new(config: Config) -> None:
    """Refuse what runs of before were begun with, and may go on with, but none should be begun with again."""
    loss = resolve_target("loss", config.loss["_target_"])
    if augment_adapts(config) and getattr(loss, "boundary", 0.0) is None:
        raise UserError(
            f"augment=ada steers its p by the signs of D's logits, which mean nothing to {loss.__name__}; set "
            f"augment=pipeline augment.p=0.3 schedule=augment_ramp, whose p grows along a cosine"
        )


def check_node(path: str, node: Node) -> None:
    """Compare a node's keys and values with the signature of what it names, whose types it gets (1e4 as a count)."""
    target = resolve_target(path, node.get("_target_"))
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except NameError:  # code of the user's own whose annotations are for type checkers only
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
    schema = create_model("Node", __base__=RESERVED.get(path, _Checked), **fields)
    known = node if not takes_any else schema.model_fields
    given = {key: value for key, value in node.items() if key != "_target_" and key in known}
    node.update(as_meant(schema, given, path))
    validated(schema, {key: node[key] for key in given}, path)


# The groups whose nodes have keys that are not arguments of what they name.
RESERVED: dict[str, type[_Checked]] = {"dataset": DatasetConfig, "penalty": PenaltyConfig}

# What the project passes itself, and a YAML therefore can't.
INJECTED = {
    "dataset": ("part",),
    "augment": ("boundary",),
    "model": ("latent_dim", "image_shape", "num_classes"),
    "optimizer": ("params",),
}


def resolve_target(path: str, target: object) -> Callable[..., Any]:
    """The class or function that `target` names, where it is one that this group may name.

    Nothing is imported before the prefix is known to be allowed. Raises UserError otherwise.
    """
    if not isinstance(target, str) or "." not in target:
        raise UserError(f"{path}._target_={target}: must be the dotted name of a class, such as gan_exp.losses.Hinge")
    group = path.split(".")[0]
    trusted = tuple(filter(None, os.environ.get(TRUST_VARIABLE, "").split(",")))
    prefixes = ALLOWED_TARGETS[group] + trusted
    if not _inside(target, prefixes):
        raise UserError(
            f"{path}._target_={target}: only {' and '.join(ALLOWED_TARGETS[group])} may be named there; "
            f"if this is code of your own, allow it with --trust {target.split('.')[0]}"
        )
    module, _, name = target.rpartition(".")
    if trusted and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a module of the user's beside their configuration
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{path}._target_={target}: can't be imported ({error}); check the spelling") from error
    # What a module merely imported (`gan_exp.data.x.os`) is not part of it.
    if not callable(found) or not _inside(f"{getattr(found, '__module__', '')}.", prefixes):
        raise UserError(f"{path}._target_={target}: is not a class or function of {module}")
    return found  # type: ignore[no-any-return]


def _inside(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefix + ".") for prefix in prefixes)


def _refuse_leftovers(path: str, node: Node) -> None:
    """Keys beside a `_target_` of null would do nothing."""
    for key in node:
        if key != "_target_":
            raise UserError(unknown_key(f"{path}.{key}", [path], [f"{path}.{key}={node[key]}"]))


def _refuse_no_values(node: object, path: str = "") -> None:
    if isinstance(node, float) and not math.isfinite(node):
        raise UserError(f"{path}={node}: must be a finite number")
    if node == "???":  # OmegaConf's sign for what must be given
        raise UserError(f"{path}: has no default; set it with {path}=...")
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    # What is set itself before the groups, where it may stand again as ${lr}.
    for key, value in sorted(items, key=lambda item: isinstance(item[1], dict | list)):
        _refuse_no_values(value, f"{path}.{key}" if path else str(key))
