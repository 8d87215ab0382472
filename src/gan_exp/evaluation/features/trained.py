"""Features of networks that are trained once on each data set and kept in a cache with their digest and accuracy."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.learning import Design, Network, accuracy, train
from gan_exp.evaluation.features.networks import prepare_small
from gan_exp.evaluation.progress import Progress
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.files import json_text, write_atomically
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock
from gan_exp.runtime.words import plural

FORMAT = 1  # another number trains anew
PREPARED = "colours multiplied by alpha"  # networks that learned from others are none of these
CACHE = "~/.cache/gan-exp/features"
OWN_SHARE = 0.1  # kept from a classifier's training where the data set has no test part, to measure its accuracy


class Trained(NamedTuple):
    network: Network
    digest: str
    about: Mapping[str, Any]  # of a classifier its accuracy, and of how many held-out images


def trained_features(
    design: Design,
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    say: Callable[[str], None] = print,
    images: int | None = None,
) -> FeatureExtractor:
    """The features [N, D] of a network of this design, trained on `data`, and of a classifier the logits [N, K].

    Where each channel is an image of its own (stacked_mnist), the network looks at one channel: its features stand
    side by side [N, C * D], and the logits are [N, C, K]. Raises UserError where a classifier finds no labels.
    """
    by_channel = data.channel_data is not None
    part = data.channel_data or data
    measured = None
    if design.labels:
        measured = held_out if held_out is None or not by_channel else held_out.channel_data
        if part.spec.num_classes < 2:
            raise UserError(f"--features {design.name}: the data has no labels to learn from; use --features ssl")
    trained = _cached(design, part, measured, device, say, images or design.images)
    extract = _Extract(trained.network, by_channel).to(device)
    about = {"what": f"{design.what}, trained on this data by this tool", **trained.about}
    return FeatureExtractor(design.name, trained.digest, extract, device, knows_classes=design.labels, about=about)


class _Extract(nn.Module):
    def __init__(self, network: Network, by_channel: bool) -> None:
        super().__init__()
        self.network, self.by_channel = network, by_channel

    def forward(self, images: Tensor) -> Embedding:
        if self.by_channel:
            found = self._embed(images.reshape(-1, 1, *images.shape[2:]))
            return _side_by_side(found, *images.shape[:2])
        return self._embed(images)

    def _embed(self, images: Tensor) -> Embedding:
        found: Embedding = self.network(prepare_small(images, self.network.shrink))
        return found


def _side_by_side(found: Embedding, count: int, channels: int) -> Embedding:
    """Of `count` images, from the embedding of all their channels."""
    features, logits, early = found
    assert early is not None
    logits = None if logits is None else logits.reshape(count, channels, -1)
    return Embedding(features.reshape(count, -1), logits, early.reshape(count, -1))


def cache_folder() -> Path:
    """The folder of trained extractors. Raises UserError if it would be in a home directory and there is none."""
    return expand_user(os.environ.get("GAN_EXP_CACHE", CACHE), "GAN_EXP_CACHE")


def _cached(
    design: Design,
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    say: Callable[[str], None],
    images: int,
) -> Trained:
    place = cache_folder()
    digests = (data.digest, None if held_out is None else held_out.digest)
    named = repr((FORMAT, digests, data.classes, images, design.recipe))
    if data.image_shape[0] == 4:
        named += PREPARED
    path = place / f"{design.name}-{hashlib.blake2b(named.encode(), digest_size=12).hexdigest()}.safetensors"
    found = _read(path, design, data)
    if found is not None:
        return found
    try:
        place.mkdir(parents=True, exist_ok=True)
        with file_lock(f"{path}.lock"):
            found = _read(path, design, data)
            if found is None:
                say(
                    f"training the feature extractor {design.name} on this data, once (about {design.seconds} s for "
                    "28x28 on two CPU cores) ..."
                )
                _train(path, design, data, held_out, device, images, say)
                found = _read(path, design, data)
    except OSError as error:
        raise UserError(
            f"GAN_EXP_CACHE={place}: can't be written ({error.strerror or error}); name a folder with room for it"
        ) from error
    assert found is not None
    learned = "trained"
    if design.labels:
        learned = f"{found.about['accuracy']:.2%} of {plural(found.about['accuracy_is_of'], 'held-out image')} right"
    say(f"feature extractor {design.name}: {learned} ({path})")
    return found


def _train(
    path: Path,
    design: Design,
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    images: int,
    say: Callable[[str], None],
) -> None:
    if design.labels and (held_out is None or held_out.labels is None):
        data, held_out = data.split_by_hash(OWN_SHARE)
    network = train(design, data, device, images, Progress(say, f"training {design.name}", images))
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    about: dict[str, Any] = {"digest": _digest(tensors)}
    if design.labels:
        assert held_out is not None
        about |= {"accuracy": accuracy(network, held_out, device), "held_out": len(held_out.images)}
    write_atomically(path, save(tensors, {"gan_exp": json_text(about)}))


def _read(path: Path, design: Design, data: PackedImages) -> Trained | None:
    """None where there is no such file, or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["gan_exp"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
        if about["digest"] != _digest(tensors):
            return None
        network = design.make(data.image_shape, data.spec.num_classes)
        network.load_state_dict(tensors)
        known = {"accuracy": about["accuracy"], "accuracy_is_of": about["held_out"]} if design.labels else {}
        return Trained(network.eval().requires_grad_(False), about["digest"], known)
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError, TypeError):
        return None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()
