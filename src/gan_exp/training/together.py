"""Several processes train one run: the first leads and has its directory, the others wait for it and train it too."""

import io
import os
import socket
from collections.abc import Mapping
from typing import Any

import torch

from gan_exp.config.check import check
from gan_exp.config.parts import refuse_uneven_parts
from gan_exp.config.schema import Config
from gan_exp.config.targets import TRUST_VARIABLE, trusted_modules
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.models.synchronised import synchronise_batch_norm
from gan_exp.runtime.device import prepare_device
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.resources import asked_threads, usable_cores
from gan_exp.runtime.signals import before_forced_exit, deferring
from gan_exp.training.assembly import make_silent_trainer
from gan_exp.training.build import build_data, build_state
from gan_exp.training.state import TrainingState


def bring_in(
    ranks: Ranks,
    config: Config,
    state: TrainingState,
    data: PackedImages,
    device: torch.device,
    checkpoint: Mapping[str, Any] | None = None,
) -> None:
    """Rank 0 gives the others the run to train; returns when all are ready, with the same weights.

    They also get the state of a new run that starts from another one, whose files they may not see. Raises UserError if
    they can't train together.
    """
    if ranks.count == 1:
        return
    trusted = ",".join(trusted_modules())
    started = _packed(state) if checkpoint is None and config.start_from else None
    ranks.assign((config.model_dump(mode="json"), torch.get_num_threads(), trusted, checkpoint, started))
    _meet(ranks, state, data, device)


def take_part(ranks: Ranks) -> int:
    """What a rank other than the first does: returns the exit code that rank 0 gives, or that of the training."""
    work = ranks.wait_for_work()
    if isinstance(work, int):
        return work
    plain, threads, trusted, checkpoint, started = work
    os.environ[TRUST_VARIABLE] = trusted
    config = check(plain)
    device = prepare_device(config.device, threads, ranks)
    data = build_data(config, device)
    state = build_state(config, data.spec, device)
    if checkpoint is not None:
        state.load_state_dict(checkpoint)
    elif started is not None:
        state.load_state_dict(torch.load(io.BytesIO(started), map_location="cpu", weights_only=True))
    _meet(ranks, state, data, device)
    trainer = make_silent_trainer(config, state, data, device, checkpoint, ranks)
    with deferring(), before_forced_exit(lambda _: None):
        stopped_by = trainer.train()
    return 0 if stopped_by is None else 128 + stopped_by


def _packed(state: TrainingState) -> bytes:
    """From any device; a process with another GPU can't be sent tensors of this one."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    return buffer.getvalue()


def _meet(ranks: Ranks, state: TrainingState, data: PackedImages, device: torch.device) -> None:
    for network in state.networks.values():
        synchronise_batch_norm(network, ranks)
    gpu = f"GPU {torch.cuda.get_device_properties(device).uuid}" if device.type == "cuda" else None
    found = ranks.collect((socket.gethostname(), gpu, data.digest))
    for rank, (host, own_gpu, digest) in enumerate(found):
        if digest != found[0][2]:
            raise UserError(
                f"dataset: process {rank} on {host} has other images than process 0 on {found[0][0]} (their digests "
                f"are {digest} and {found[0][2]}); give all machines the same files"
            )
        if own_gpu is not None and own_gpu in (gpu for _, gpu, _ in found[:rank]):
            raise UserError(
                f"device=cuda: process {rank} of {ranks.count} finds no GPU on {host} that another one doesn't use; "
                f"start one process per GPU, or set device=cpu"
            )
    ranks.broadcast_(state.tensors)


def refuse_processes(config: Config, ranks: Ranks) -> None:
    """Raises UserError if these can't train the run together."""
    if ranks.count == 1 and (config.device.processes or 1) > 1:
        raise UserError(
            f"device.processes={config.device.processes}: only `gan-exp train` and `gan-exp resume` start processes, "
            f"for a single run; set device.processes=1 here"
        )
    refuse_uneven(config, ranks.count)


def refuse_uneven(config: Config, processes: int) -> None:
    """Raises UserError if the batch, or its micro-batches, can't be divided among so many processes."""
    size, step = config.batch_size, processes * config.pac
    if size % step:
        lower, packs = size - size % step, f" in packs of pac={config.pac}" if config.pac > 1 else ""
        choices = f"{lower} or {lower + step}" if lower else str(step)
        raise UserError(
            f"batch_size={size}: can't be divided evenly among {processes} processes{packs}; set "
            f"batch_size={choices}, or start another number of processes"
        )
    refuse_uneven_parts(config, processes)


def threads_for(config: Config, ranks: Ranks, checkpoint: Mapping[str, Any] | None = None) -> int | None:
    """CPU threads for each process; None lets a single one choose. The machine's cores are divided among its processes.

    Only with as many processes as before does a resumed run keep its number.
    """
    saved = (checkpoint or {}).get("threads")
    before = ranks.count if checkpoint is None else checkpoint.get("processes", 1)
    share = max(1, usable_cores() // ranks.local_count)
    if before != ranks.count:
        return min(config.device.threads or share, share)
    if config.device.threads is not None or saved is not None:
        return config.device.threads or saved
    return None if ranks.count == 1 else _given_threads() or share


def _given_threads() -> int | None:
    """OMP_NUM_THREADS, unless torchrun has set it, which sets 1 for want of a better guess."""
    given = asked_threads()
    return None if given == 1 and "TORCHELASTIC_RUN_ID" in os.environ else given
