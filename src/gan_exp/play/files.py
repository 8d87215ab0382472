"""Files with a latent that the page opens: JSON that it has saved, and what `gan-exp invert` writes."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST = 1 << 20  # bytes, unpacked too


def read_latent(content: bytes, size: int, num_classes: int) -> dict[str, Any] | None:
    """`latent`, `size` numbers, and `label`, None where the file has none of these classes; None if it has no latent.

    `content` is JSON or a .npz with the keys `latent` and perhaps `label`, or a .npy.
    """
    try:
        found = _read(content)
        latent = np.asarray(found["latent"], dtype=np.float32)
        label = found.get("label")
        number = None if label is None else int(label)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, OSError, EOFError):
        return None
    except zipfile.BadZipFile:
        return None
    if latent.shape != (size,) or not np.isfinite(latent).all():
        return None
    known = number is not None and 0 <= number < num_classes
    return {"latent": latent.tolist(), "label": number if known else None}


def _read(content: bytes) -> Mapping[str, Any]:
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError("too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    if content.startswith(b"\x93NUMPY"):
        return {"latent": np.load(io.BytesIO(content), allow_pickle=False)}
    found: Mapping[str, Any] = json.loads(content)
    return found
