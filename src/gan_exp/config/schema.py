"""The configuration's types and ranges: one flat root, and groups that name a class with `_target_`.

A group's arguments are checked against the signature of the class that it names (`targets.py`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gan_exp.ranges import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

Node = dict[str, Any]  # names a class with `_target_`; its other keys are arguments

_STRICT = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, frozen=True, arbitrary_types_allowed=True, protected_namespaces=()
)


class Checked(BaseModel):
    model_config = _STRICT


class DatasetConfig(Checked):
    """The keys of every data set beside the arguments of its `_target_`.

    `resize` is a side or [height, width] in pixels. `held_out` is the fraction of the images kept out of
    training for evaluation, for data sets without a test part of their own. `mirror`: each image that is trained on
    is mirrored left to right with probability 1/2. `license` is a note for exported files; None: not stated.
    """

    name: str
    license: str | None = None
    held_out: Fraction = 0.0
    mirror: bool = False
    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None


class ModelConfig(Checked):
    name: str
    generator: Node
    discriminator: Node
    checkpointing: bool = False


class OptimizerConfig(Checked):
    generator: Node
    discriminator: Node


class PenaltyConfig(Checked):
    """The keys beside the arguments. Each `every`-th update of D has the penalty, `every` times as strong."""

    every: PositiveInt = 1


class ScheduleConfig(Checked):
    """Factors on the configured values as functions of progress; None: a constant 1."""

    lr: Node
    penalty: Node | None = None
    beta2: Node | None = None
    ema: Node | None = None
    augment: Node | None = None


def _merged(word: str) -> str:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*/[1-9]\d*:[1-9]\d*", word):
        raise PydanticCustomError("merged", "must be channels x height x width/group:factor, such as 64x32x32/16:2")
    return word


class DeviceConfig(Checked):
    name: Literal["auto", "cpu", "cuda", "mps"]
    index: NonNegativeInt
    threads: PositiveInt | None
    processes: Annotated[int, Ge(1), Le(1024)] | None = None
    deterministic: bool
    precision: Literal["auto", "float32", "tf32", "bf16"] = "float32"  # what runs of before this key had
    merged_groups: list[Annotated[str, AfterValidator(_merged)]] | None = []  # none in runs of before this key

    @model_validator(mode="before")
    @classmethod
    def _read_tf32(cls, values: Any) -> Any:
        """Runs of before `precision` have tf32=true or false."""
        if not isinstance(values, Mapping) or "tf32" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "tf32"}
        return {"precision": "tf32" if values["tf32"] is True else "float32", **rest}


class Config(Checked):
    """See `conf/config.yaml` for what each key does and when to change it."""

    name: str = Field(pattern=r"^[^\W_][\w .,=+()'~-]*$", max_length=100)
    steps: PositiveInt
    batch_size: Annotated[int, Ge(1), Le(1_000_000)]  # a larger one is a typing mistake
    micro_batch_size: PositiveInt | None = None
    lr: PositiveFloat
    seed: NonNegativeInt
    n_critic: PositiveInt
    latent_dim: PositiveInt
    ema_halflife_kimg: NonNegativeFloat
    ema_ramp_up: PositiveFloat | None = 0.05  # the value in runs from before this key
    sampling: Literal["with_replacement", "shuffled"]
    conditional: bool
    pac: PositiveInt
    spectral_norm: bool
    instance_noise: NonNegativeFloat
    split_updates: bool
    inference_fakes: bool
    reuse_fakes: bool = False
    fast_path: Literal["auto", "plain", "graph", "compiled"] = "plain"  # the value in runs from before this key
    log_every_steps: PositiveInt
    sample_every_steps: PositiveInt
    checkpoint_every_steps: PositiveInt
    keep_checkpoints: PositiveInt
    check_resources: bool = True
    evaluate_every_steps: NonNegativeInt = 0  # the defaults of these three: runs from before evaluations
    evaluate_count: Annotated[int, Ge(10)] = 5000
    best_metric: str = "fid"  # a score of `metrics.entries`, or a metric of the user's own by its dotted name
    start_from: str | None = None
    start_keep: tuple[Literal["average", "optimizers", "augment"], ...] = ("average",)
    chosen: tuple[str, ...] = ()
    grid_rows: PositiveInt | None
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
        """The nodes that name a class, with their paths in the configuration."""
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
