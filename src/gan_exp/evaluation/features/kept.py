"""Embeddings of real images, kept beside the feature networks: each evaluation of a data set needs the same ones."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gan_exp import __version__
from gan_exp.errors import UserError
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.trained import cache_folder
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.files import json_text, write_atomically

WORTH_KEEPING_S = 1.0  # seconds from which an embedding is kept
MOST_BYTES = 1 << 30  # of all that are kept; the ones that were not used for longest go first


def embed_real(
    extractor: FeatureExtractor,
    images: Tensor,
    embed: Callable[[FeatureExtractor, Tensor], Embedding] = FeatureExtractor.embed,
) -> Embedding:
    """`embed(extractor, images)`, to the last bit: read from the cache where an earlier call took long for the same.

    Whatever the cache's state, an embedding comes back: a damaged file is replaced, and one that can't be written left
    out.
    """
    try:
        path = cache_folder() / f"embedding-{extractor.name}-{_key(extractor, images)}.safetensors"
    except UserError:
        return embed(extractor, images)
    found = _read(path)
    if found is not None and len(found.features) == len(images):
        return found
    began = time.perf_counter()
    made = embed(extractor, images)
    if time.perf_counter() - began >= WORTH_KEEPING_S:
        with suppress(OSError):
            _keep(path, made)
    return made


def _key(extractor: FeatureExtractor, images: Tensor) -> str:
    """Of all that the last bits depend on."""
    device = torch.device(extractor.device)
    circumstances = torch.__version__, device.type, torch.get_num_threads() if device.type == "cpu" else None
    named = (__version__, extractor.name, extractor.digest, circumstances, tuple(images.shape), str(images.dtype))
    digest = hashlib.blake2b(repr(named).encode(), digest_size=12)
    digest.update(images.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _read(path: Path) -> Embedding | None:
    """None where there is no such file, or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["gan_exp"])
            found = Embedding(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  (no mapping)
        if about["digest"] != _digest(found):
            return None
        os.utime(path)  # used just now
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError, TypeError):
        return None
    return found


def _keep(path: Path, embedding: Embedding) -> None:
    tensors = {name: value.contiguous() for name, value in embedding._asdict().items() if value is not None}
    size = sum(value.nbytes for value in tensors.values())
    if size > MOST_BYTES:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _make_room(path.parent, size)
    write_atomically(path, save(tensors, {"gan_exp": json_text({"digest": _digest(embedding)})}), durable=False)


def _make_room(folder: Path, size: int) -> None:
    kept = [(found.stat(), found) for found in folder.glob("embedding-*.safetensors")]
    kept.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
    for status, found in kept:
        size += status.st_size
        if size > MOST_BYTES:
            found.unlink(missing_ok=True)


def _digest(embedding: Embedding) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, value in embedding._asdict().items():
        if value is not None:
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.contiguous().numpy().data)
    return digest.hexdigest()
