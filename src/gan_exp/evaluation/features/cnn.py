"""Features of a classifier that is trained once on each data set and kept in a cache with its digest and accuracy."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gan_exp.data.packed import PackedImages, normalise
from gan_exp.errors import UserError
from gan_exp.evaluation.features.classifier import IMAGES, RECIPE, Classifier, accuracy, train_classifier
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.metrics.inputs import Embedding
from gan_exp.runtime.files import json_text, write_atomically
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock

FORMAT = 1  # another number trains anew
CACHE = "~/.cache/gan-exp/features"
OWN_SHARE = 0.1  # kept from the classifier's training where the data set has no test part, to measure its accuracy


class Trained(NamedTuple):
    network: Classifier
    digest: str
    accuracy: float
    held_out: int  # images that the accuracy is of


def cnn_features(
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    say: Callable[[str], None] = print,
    images: int = IMAGES,
) -> FeatureExtractor:
    """The classifier's averages [N, D] and the logits [N, K] of the data's classes.

    Where each channel is an image of its own (stacked_mnist), the classifier looks at one channel: its features stand
    side by side [N, C * D], and the logits are [N, C, K]. Raises UserError where there are no labels.
    """
    part = data.channel_data or data
    measured = held_out if held_out is None or data.channel_data is None else held_out.channel_data
    if part.spec.num_classes < 2:
        raise UserError("--features cnn: the data has no labels to learn from; use --features pixels")
    trained = _cached(part, measured, device, say, images)
    network = trained.network.to(device)
    by_channel = data.channel_data is not None

    def extract(batch: Tensor) -> Embedding:
        count, channels, height, width = batch.shape
        single = batch.reshape(count * channels, 1, height, width) if by_channel else batch
        found: Embedding = network(normalise(single))
        if not by_channel:
            return found
        assert found.logits is not None
        return Embedding(found.features.reshape(count, -1), found.logits.reshape(count, channels, -1))

    about = {
        "what": "a classifier trained on this data by this tool",
        "accuracy": trained.accuracy,
        "accuracy_is_of": trained.held_out,
    }
    return FeatureExtractor("cnn", trained.digest, extract, device, knows_classes=True, about=about)


def cache_folder() -> Path:
    """The folder of trained extractors. Raises UserError if it would be in a home directory and there is none."""
    return expand_user(os.environ.get("GAN_EXP_CACHE", CACHE), "GAN_EXP_CACHE")


def _cached(
    data: PackedImages, held_out: PackedImages | None, device: torch.device, say: Callable[[str], None], images: int
) -> Trained:
    place = cache_folder()
    digests = (data.digest, None if held_out is None else held_out.digest)
    named = repr((FORMAT, digests, data.classes, images, RECIPE))
    path = place / f"cnn-{hashlib.blake2b(named.encode(), digest_size=12).hexdigest()}.safetensors"
    found = _read(path, data)
    if found is not None:
        return found
    try:
        place.mkdir(parents=True, exist_ok=True)
        with file_lock(f"{path}.lock"):
            found = _read(path, data)
            if found is None:
                say("training the feature extractor on this data, once (a few minutes for 28x28 on a CPU) ...")
                _train(path, data, held_out, device, images)
                found = _read(path, data)
    except OSError as error:
        raise UserError(
            f"GAN_EXP_CACHE={place}: can't be written ({error.strerror or error}); name a folder with room for it"
        ) from error
    assert found is not None
    say(f"feature extractor: {found.accuracy:.2%} of {found.held_out:,} held-out images right ({path})")
    return found


def _train(path: Path, data: PackedImages, held_out: PackedImages | None, device: torch.device, images: int) -> None:
    if held_out is None or held_out.labels is None:
        data, held_out = data.split_by_hash(OWN_SHARE)
    network = train_classifier(data, device, images)
    right = accuracy(network, held_out, device)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    about = {"accuracy": right, "held_out": len(held_out.images), "digest": _digest(tensors)}
    write_atomically(path, save(tensors, {"gan_exp": json_text(about)}))


def _read(path: Path, data: PackedImages) -> Trained | None:
    """None where there is no such file, or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["gan_exp"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
        if about["digest"] != _digest(tensors):
            return None
        network = Classifier(data.image_shape, data.spec.num_classes)
        network.load_state_dict(tensors)
        return Trained(network.eval().requires_grad_(False), about["digest"], about["accuracy"], about["held_out"])
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError, TypeError):
        return None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()
