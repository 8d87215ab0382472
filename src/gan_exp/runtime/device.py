"""The device on which a run computes, and torch's settings for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from gan_exp.errors import UserError
from gan_exp.runtime.heap import keep_freed_memory
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.words import plural

AMPERE = (8, 0)  # the least compute capability of an NVIDIA GPU that multiplies bfloat16 and TF32 numbers in hardware


class DeviceSettings(Protocol):
    """See `conf/device/*.yaml`."""

    @property
    def name(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def deterministic(self) -> bool: ...
    @property
    def precision(self) -> str: ...


def prepare_device(config: DeviceSettings, threads: int | None = None, ranks: Ranks = ALONE) -> torch.device:
    """The device that `config` names; sets torch's threads, determinism and precision. Raises UserError if absent.

    Of several `ranks` on a machine each takes a GPU of its own.

    `threads` is the number that a resumed run has used so far: with another one sums are rounded differently.
    """
    device = _find(config.name, config.index, ranks)
    keep_freed_memory()
    # The moments of weights that no longer learn decay into denormal numbers, with which a CPU computes a hundred times
    # slower. New threads inherit the setting from this one, so it must be made before torch starts any.
    torch.set_flush_denormal(True)
    threads = config.threads or threads
    if threads is not None:
        torch.set_num_threads(threads)
    if torch.are_deterministic_algorithms_enabled() != config.deterministic:  # setting it imports the compiler: 1.5 s
        torch.use_deterministic_algorithms(config.deterministic)
    if device.type == "cuda":
        _set_arithmetic(config)
    return device


def _set_arithmetic(config: DeviceSettings) -> None:
    """The precision of CUDA's libraries, and whether they may choose a different algorithm each time."""
    torch.backends.cudnn.benchmark = not config.deterministic
    tf32 = config.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32  # torch's default is true
    if config.deterministic:  # cuBLAS reads it when it starts; without it the order of its sums changes
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def inference_device(name: str = "auto") -> torch.device:
    """The device for a trained network: auto, cpu, cuda or mps. A GPU multiplies in full float32, as a CPU does.

    Torch's other settings stay as they are. Raises UserError if there is no such device.
    """
    device = _find(name, key="--device ")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    return device


@contextmanager
def full_float32() -> Iterator[None]:
    """Within this block a GPU multiplies in float32, also in a run with TF32: for what is compared between runs."""
    before, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    tf32 = cudnn.allow_tf32
    if before == "highest" and not tf32:
        yield
        return
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        cudnn.allow_tf32 = tf32


@contextmanager
def own_settings() -> Iterator[None]:
    """Within this block torch's defaults are those of a new process; afterwards all of its settings are as before.

    A program may have set another default dtype or device, or be within `no_grad`.
    """
    threads, flushing = torch.get_num_threads(), _flushes_denormal()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warning_only = torch.is_deterministic_algorithms_warn_only_enabled()
    precision, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    benchmark, tf32 = cudnn.benchmark, cudnn.allow_tf32
    try:
        with _usual_defaults():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushing)
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            torch.use_deterministic_algorithms(deterministic, warn_only=warning_only)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)
        cudnn.benchmark, cudnn.allow_tf32 = benchmark, tf32


@contextmanager
def _usual_defaults() -> Iterator[None]:
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    if device.type != "cpu":
        torch.set_default_device(None)  # a default of "cpu" would slow down each call
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        if device.type != "cpu":
            torch.set_default_device(device)


def _flushes_denormal() -> bool:
    """Whether a denormal result becomes zero; torch has no function that says so."""
    return bool(torch.tensor([2.0**-1022], dtype=torch.float64, device="cpu").mul(0.5).item() == 0)


def best_device() -> str:
    """What `auto` stands for here."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 numbers in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= AMPERE
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _find(name: str, index: int = 0, ranks: Ranks = ALONE, key: str = "device=") -> torch.device:
    """`key` is how the user names a device, for messages."""
    if name == "auto":
        name = best_device()
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"{key}cuda: no CUDA GPU can be used here; use {key}cpu or {key}auto")
        count = torch.cuda.device_count()
        if index >= count:
            raise UserError(f"device.index={index}: there are {count} CUDA GPUs here, numbered from 0")
        if count == 1:  # Slurm can show each process one GPU, its own
            return torch.device("cuda", 0)
        if index + ranks.local_rank >= count:
            raise UserError(
                f"device.index={index}: there are {count} CUDA GPUs here for {ranks.local_count} processes, and "
                f"each needs one, from this index on; start fewer processes, or set device=cpu"
            )
        return torch.device("cuda", index + ranks.local_rank)
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"{key}mps: no Apple GPU can be used here; use {key}cpu or {key}auto")
    return torch.device(name)


def describe_device(device: torch.device, processes: int = 1) -> str:
    """A name for people: the GPU's model, or the CPU with its number of threads; with several processes, of each."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return name if processes == 1 else f"{processes} processes, each on {name}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        threads_text = plural(threads, "thread")
        return (
            f"CPU, {threads_text}" if processes == 1 else f"{processes} processes on the CPU, each with {threads_text}"
        )
    return device.type.upper()
