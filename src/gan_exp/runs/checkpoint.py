"""Checkpoints: written atomically, verified, and loaded without executing anything in them."""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import write_atomically

# Format 2 added the configuration, the data's digest, the number of threads and the step in the file name as a check.
FORMAT = 2
NEEDED = ("step", "generator", "image_shape")
KINDS: dict[str, type] = {
    **dict.fromkeys(("step", "images_seen", "threads", "num_classes"), int),
    **dict.fromkeys(("generator", "generator_ema", "discriminator", "augment", "window", "config"), dict),
    **dict.fromkeys(("generator_optimizer", "discriminator_optimizer"), dict),
    "classes": list,
}
DIRECTORY = 0x10  # the attribute that marks an entry of a ZIP archive as a directory


def save_checkpoint(run: RunDir, step: int, content: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of `step`, read it back, then remove all but the newest `keep`.

    `content` consists of tensors and plain containers. Raises OSError if the disk is full or gone.
    """
    path = run.checkpoint(step)
    write_checkpoint(path, content)
    # Later ones can only be damaged ones that a resumed run skipped, and must not count among the newest.
    for old in [path for number, path in run.list_checkpoints() if number <= step][:-keep]:
        old.unlink(missing_ok=True)
    return path


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write atomically and read back. Raises OSError if that fails."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_atomically(path, buffer.getvalue())
    fault = find_fault(path)
    if fault is not None:
        raise OSError(f"{path} was written but reads back damaged: {fault}")


def data_content(data: PackedImages) -> dict[str, Any]:
    """The description of the data in a checkpoint, so that sampling needs no data and other data is recognised."""
    spec = data.spec
    return {
        "image_shape": list(spec.image_shape),
        "num_classes": spec.num_classes,
        "extent": spec.extent,
        "classes": _plain_names(data.classes),
        "data_digest": data.digest,
    }


def _plain_names(classes: Sequence[str]) -> list[str]:
    """The names of the classes; `7 - seven`, as torchvision names MNIST's digits, as `7`."""
    names = list(map(str, classes))  # a data set of one's own may have NumPy's strings, which no checkpoint can hold
    numbered = all(name.startswith(f"{number} - ") for number, name in enumerate(names))
    return [str(number) for number in range(len(names))] if numbered else names


def class_names(content: dict[str, Any]) -> tuple[str, ...]:
    """The names of the classes of the data; their numbers where the checkpoint holds none, as older ones."""
    names, count = content.get("classes") or (), content.get("num_classes", 0)
    return tuple(map(str, names if len(names) == count else range(count)))


def data_spec(content: dict[str, Any]) -> DataSpec:
    """The inverse of `data_content`, as far as networks depend on it."""
    channels, height, width = content["image_shape"]
    return DataSpec((channels, height, width), content.get("num_classes", 0), content.get("extent"))


def find_fault(path: Path) -> str | None:
    """The damage in the file, or None. torch.load ignores flipped bits in tensors; the archive's CRCs reveal them."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch compresses nothing: compressed or overlapping entries could fill the memory.
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                return "its parts hold more than the file"
            # torch silently reads an entry that is marked as a directory as an empty one.
            marked = (part.filename for part in archive.infolist() if part.external_attr & DIRECTORY)
            broken = archive.testzip() or next(marked, None)
    except (OSError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError) as error:
        # RuntimeError: a flipped bit in a header may mark an entry as encrypted or compressed in an unknown way
        return str(error) or type(error).__name__
    return None if broken is None else f"{broken} is not as it was written"


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, on `device`. Raises UserError if it is damaged or has a newer format."""
    fault = find_fault(path)
    if fault is not None:
        raise UserError(f"{path}: the checkpoint is damaged ({fault})")
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: is not a checkpoint of this tool ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise UserError(f"{path}: is not a checkpoint of this tool")
    if content["format"] > FORMAT:
        raise UserError(f"{path}: was written by a newer gan-exp (format {content['format']}); update this one")
    invalid = _find_invalid_key(content)
    if invalid is not None:
        raise UserError(f"{path}: is not a checkpoint of this tool ({invalid} is invalid)")
    return content


def _find_invalid_key(content: dict[str, Any]) -> str | None:
    """The first key that is missing or has a value of the wrong type."""
    missing = next((key for key in NEEDED if key not in content), None)
    if missing is not None:
        return missing
    for key, kind in KINDS.items():
        value = content.get(key)
        if key in content and (not isinstance(value, kind) or (isinstance(value, int) and value < 0)):
            return key
    if content.get("threads", 1) < 1:
        return "threads"
    shape = content["image_shape"]
    if not (isinstance(shape, list) and len(shape) == 3 and all(isinstance(side, int) and side > 0 for side in shape)):
        return "image_shape"
    return None


def _load_numbered(path: Path, step: int, device: torch.device | str) -> dict[str, Any]:
    """A run's checkpoint of `step`; a checkpoint of another step may have been copied over it."""
    content = load_checkpoint(path, device)
    if content.get("step") != step:
        raise UserError(f"{path}: holds step {content.get('step')}")
    return content


def load_newest(run: RunDir, device: torch.device | str = "cpu") -> tuple[dict[str, Any], list[str]]:
    """The newest undamaged checkpoint, and a sentence for each newer one that was skipped."""
    skipped: list[str] = []
    for step, path in reversed(run.list_checkpoints()):
        try:
            return _load_numbered(path, step, device), skipped
        except UserError as error:
            skipped.append(str(error))
    found = "; ".join(skipped) or "it holds none yet"
    raise UserError(
        f"{run.path}: no undamaged checkpoint to resume from ({found}); start a new run with `gan-exp train`"
    )
