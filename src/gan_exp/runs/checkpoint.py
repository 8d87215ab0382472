"""Checkpoints: whole on the disk before they get their name, verified, loaded without running anything in them."""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import write_atomically

# 2 added the step in the file's name as a check, the configuration, the data's digest and the number of threads.
FORMAT = 2
NEEDED = ("step", "generator", "image_shape")
KINDS: dict[str, type] = {
    **dict.fromkeys(("step", "images_seen", "threads", "num_classes"), int),
    **dict.fromkeys(("generator", "generator_ema", "discriminator", "augment", "window", "config"), dict),
    **dict.fromkeys(("generator_optimizer", "discriminator_optimizer"), dict),
}
DIRECTORY = 0x10  # a bit of a part's attributes in a ZIP archive


def save_checkpoint(run: RunDir, step: int, content: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of `step`, read it back, and only then remove all but the newest `keep` up to it.

    `content` must be tensors and plain containers. Raises OSError when the disk is full or gone.
    """
    path = run.checkpoint(step)
    write_checkpoint(path, content)
    # Later ones can only be damaged ones that a resumed run passed over: they must not count among the newest.
    for old in [path for number, path in run.list_checkpoints() if number <= step][:-keep]:
        old.unlink(missing_ok=True)
    return path


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write and read back; the file is whole or not there."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_atomically(path, buffer.getvalue())
    fault = find_fault(path)
    if fault is not None:
        raise OSError(f"{path} was written but reads back damaged: {fault}")


def data_content(data: PackedImages) -> dict[str, Any]:
    """What a checkpoint says of its data, so that sampling needs none and other data is not taken for it."""
    spec = data.spec
    return {
        "image_shape": list(spec.image_shape),
        "num_classes": spec.num_classes,
        "extent": spec.extent,
        "data_digest": data.digest,
    }


def data_spec(content: dict[str, Any]) -> DataSpec:
    """What of it `data_content` was made from."""
    channels, height, width = content["image_shape"]
    return DataSpec((channels, height, width), content.get("num_classes", 0), content.get("extent"))


def find_fault(path: Path) -> str | None:
    """What is wrong with the file, or None. torch.load misses flipped bits in tensors; the archive's CRCs do not."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch packs nothing: a part that is packed could fill the memory, and so could parts over each other.
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                return "its parts hold more than the file"
            # torch takes a part that is marked as a directory for an empty one, without a word.
            marked = (part.filename for part in archive.infolist() if part.external_attr & DIRECTORY)
            broken = archive.testzip() or next(marked, None)
    except (OSError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError) as error:
        # RuntimeError: a flipped bit in a header may say that a part is encrypted or packed in an unknown way
        return str(error) or type(error).__name__
    return None if broken is None else f"{broken} is not as it was written"


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, on `device`. Raises UserError when it is damaged or of a newer format."""
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
    odd = _find_odd(content)
    if odd is not None:
        raise UserError(f"{path}: is not a checkpoint of this tool ({odd} is not what it writes)")
    return content


def _find_odd(content: dict[str, Any]) -> str | None:
    """The first part that is missing, or of another kind than `save_checkpoint` is given."""
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
    """A run's checkpoint of `step`; one of another step may have been copied over it."""
    content = load_checkpoint(path, device)
    if content.get("step") != step:
        raise UserError(f"{path}: holds step {content.get('step')}")
    return content


def load_newest(run: RunDir, device: torch.device | str = "cpu") -> tuple[dict[str, Any], list[str]]:
    """The newest whole checkpoint, and a sentence for each newer one that had to be passed over."""
    passed: list[str] = []
    for step, path in reversed(run.list_checkpoints()):
        try:
            return _load_numbered(path, step, device), passed
        except UserError as error:
            passed.append(str(error))
    found = "; ".join(passed) or "it holds none yet"
    raise UserError(f"{run.path}: no whole checkpoint to go on from ({found}); train it anew with `gan-exp train`")
