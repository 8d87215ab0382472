"""A trained generator as one safetensors file, which needs neither its run nor its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Json, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from gan_exp.config.targets import build_node, check_node
from gan_exp.errors import UserError
from gan_exp.models.parts import with_layout
from gan_exp.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from gan_exp.runtime.files import json_text

FORMAT = "gan-exp generator 1"


class Metadata(BaseModel):
    """The file's metadata, each value as JSON, since safetensors holds strings only."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())

    format: Json[Literal["gan-exp generator 1"]]
    model: Json[dict[str, Any]]  # `model.generator` of the configuration
    latent_dim: Json[PositiveInt]
    image_shape: Json[Annotated[list[PositiveInt], Len(3, 3)]]  # channels, height, width
    num_classes: Json[NonNegativeInt]  # 0: called with latents, else with (latents, labels)
    extent: Json[PositiveFloat | None]  # for points; None: images in [-1, 1]
    step: Json[NonNegativeInt]
    name: Json[str]
    version: Json[str]
    # What follows is not in older files.
    class_names: Json[list[str]] = []
    averaged: Json[bool] | None = None
    dataset: Json[str] = ""
    dataset_license: Json[str | None] = None  # None: not stated


def safetensors_bytes(generator: nn.Module, metadata: Mapping[str, Any]) -> bytes:
    """The content of a file that `load_generator` reads: the weights, and `metadata`, which `Metadata` describes."""
    # Clones, because the format can express neither channels last nor shared memory.
    tensors = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in generator.state_dict().items()
    }
    return save(tensors, {key: json_text(value) for key, value in metadata.items()})


def read_metadata(path: Path | str) -> Metadata:
    """The metadata of an exported generator. Raises UserError for other files."""
    try:
        with safe_open(path, framework="pt") as file:
            return Metadata.model_validate(file.metadata() or {})
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UserError(f"{path}: is not a generator of `gan-exp export` ({what})") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: can't be read as safetensors ({error})") from error


def load_generator(path: Path | str) -> nn.Module:
    """The generator in a file written by `gan-exp export`, on the CPU, in eval mode and without gradients.

    It is called with latents [N, latent_dim], and with labels [N] where `read_metadata(path).num_classes` is not 0.
    Nothing in the file is executed: it names a class of this project or of a package listed in the environment variable
    GAN_EXP_TRUST. Raises UserError if it names another one or is damaged.
    """
    metadata = read_metadata(path)
    try:
        check_node("model.generator", metadata.model)
        generator = _build(metadata, path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (it is no mapping)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        fault = str(error).splitlines()[-1].strip()
        raise UserError(f"{path}: the weights don't fit the model that the file names ({fault})") from error
    return generator.eval().requires_grad_(False)


def _build(metadata: Metadata, path: Path | str) -> nn.Module:
    given: dict[str, Any] = {"latent_dim": metadata.latent_dim, "image_shape": tuple(metadata.image_shape)}
    if metadata.num_classes:
        given["num_classes"] = metadata.num_classes
    if metadata.model["_target_"].startswith("gan_exp."):  # first without memory: a forged file could ask for any
        with torch.device("meta"):
            layers: nn.Module = build_node("model.generator", metadata.model, **given)
        with safe_open(path, framework="pt") as file:
            sizes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        if sizes != {key: tuple(value.shape) for key, value in layers.state_dict().items()}:
            raise UserError("the weights don't fit the model that the file names")
    return with_layout(build_node("model.generator", metadata.model, **given))
