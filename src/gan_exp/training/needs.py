"""What a run will need of memory and disk, told before it trains and refused where there is clearly less."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gan_exp.config.contradictions import needs_float32
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.diagnosis.diagnostics import POINTS, SAMPLES, SMALL
from gan_exp.errors import UserError
from gan_exp.runtime.device import has_bf16
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.resources import available_memory, in_words, resident_memory, total_memory
from gan_exp.training.build import build_optimizer, build_state, build_step_config
from gan_exp.training.fitting import remedies
from gan_exp.training.grid import SCATTER_POINTS, grid_rows
from gan_exp.training.memory import META, Samples, StepMemory, is_short, step_memory
from gan_exp.training.state import TrainingState

# What is taken beside the tensors that are counted, measured: docs/performance.md, "What a run will need". Freed blocks
# leave gaps in a CPU's heap: of a step as much as so many of its largest tensors.
GAPS = 9
AMONG_SAMPLES = 1.8  # times what passes there
ELSEWHERE = 1.15  # times all that passes on other devices
ALLOWANCE = {"cpu": 225e6, "cuda": 700e6}  # what is loaded later; CUDA's context and its libraries' workspaces
OPERATIONS_PER_S = {"float32": 100e9, "bf16": 200e9}  # of a CPU's core, at most: narrow networks reach a quarter
SLOW_S = 10.0  # a step for which the user should know it before
CLEARLY = 1.15  # so many times as much as there is can't fit, whatever the error of the estimate
MUCH_TO_WRITE = 50e9
RECORDS_PER_LOG = 5000  # bytes in metrics.jsonl, log.txt and TensorBoard's events; measured


@dataclass(frozen=True)
class Needs:
    """Of the process that writes the run; every other one needs as much memory on a device of its own."""

    config: Config
    state: TrainingState
    data: PackedImages
    device: torch.device
    rows: int  # images of each batch that this process has
    place: Path
    sharing: int  # processes of this run that share the memory
    there: int  # bytes of memory that the process has beside the networks, which are counted with the step

    @cached_property
    def step(self) -> StepMemory:
        return _step_memory(self.config, self.state, self.data, self.rows, self.device)

    @cached_property
    def memory(self) -> int | None:
        """Bytes at the peak of the run; None if a class of the user's own can't be counted."""
        return self._memory(self.step)

    @cached_property
    def limit(self) -> int | None:
        """The memory of the GPU, or this process's part of the machine's."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[1]
        total = total_memory()
        return None if total is None else total // self.sharing

    @property
    def _free(self) -> int | None:
        """What this process could have at most, with what it has already."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0] + torch.cuda.memory_reserved(self.device)
        available = available_memory()
        return None if available is None else available // self.sharing + resident_memory()

    def _memory(self, step: StepMemory) -> int | None:
        """The larger of what a step takes and what samples do: in between freed memory is returned."""
        if step.peak is None:
            return None
        kind, of_step, of_samples = self.device.type, step.peak - step.lasting, step.samples - step.lasting
        if kind == "cpu":
            passing = max(of_step + GAPS * step.largest, AMONG_SAMPLES * of_samples)
        else:
            passing = ELSEWHERE * max(of_step, of_samples)
        passing += ALLOWANCE.get(kind, 0)
        if kind == "cpu":  # a checkpoint is put together in memory
            passing = max(passing, step.checkpoint) + self.step.imported
        return round(step.lasting + passing + self.there)

    @property
    def seconds_at_least(self) -> float:
        """Of a step on a CPU, by its convolutions and matrix products; 0 elsewhere."""
        if self.device.type != "cpu":
            return 0.0
        device = self.config.device
        threads = device.threads or torch.get_num_threads()
        return self.step.operations / threads / OPERATIONS_PER_S.get(device.precision, OPERATIONS_PER_S["float32"])

    @property
    def kept_checkpoints(self) -> int:
        return min(self.config.keep_checkpoints, self.written_checkpoints)

    @property
    def written_checkpoints(self) -> int:
        config = self.config
        return 1 + -(-config.steps // config.checkpoint_every_steps)  # with those of step 0 and of the last

    @property
    def disk(self) -> int:
        """Bytes at most: with one checkpoint more than is kept, while it is written, and no picture compressed."""
        config, step = self.config, self.step
        checkpoints = self.kept_checkpoints + 1 + (1 if config.evaluate_every_steps else 0)
        grids = 2 + config.steps // config.sample_every_steps
        logs = 1 + config.steps // config.log_every_steps
        return checkpoints * step.checkpoint + 3 * grids * self._picture + logs * RECORDS_PER_LOG

    @property
    def _picture(self) -> int:
        channels, height, width = self.data.image_shape
        rows = grid_rows(self.config.grid_rows, self.data.spec, self.config.conditional)
        return rows * self.config.grid_columns * channels * height * width

    @property
    def free_disk(self) -> int | None:
        place = self.place.absolute()
        try:
            return shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free
        except (OSError, StopIteration):
            return None

    @property
    def record(self) -> dict[str, Any]:
        """To be kept with the run."""
        return {"needs": {"memory": self.memory, "checkpoint": self.step.checkpoint, "disk": self.disk}}

    def lines(self) -> list[str]:
        return [self._memory_line(), self._disk_line(), *self._warnings()]

    def _memory_line(self) -> str:
        kind = "of the GPU's" if self.device.type == "cuda" else "of"
        if self.memory is None:
            return f"memory: can't be estimated ({self.step.why_unknown})"
        there = "" if self.limit is None else f", {kind} {in_words(self.limit)}"
        return f"memory: about {in_words(self.memory)} at most{there}"

    def _disk_line(self) -> str:
        count, size = self.kept_checkpoints, in_words(self.step.checkpoint)
        kept = f"{count} checkpoints of {size}" if count > 1 else f"a checkpoint of {size}"
        best = ", best.pt of the same size" if self.config.evaluate_every_steps else ""
        return f"disk: about {in_words(self.disk)} at most: {kept}{best}, grids and records"

    def _warnings(self) -> list[str]:
        found = []
        free, disk = self._free, self.free_disk
        if self.memory is not None and free is not None and self.memory > free:
            found.append(f"warning: about {in_words(self.memory)} of memory are needed and {in_words(free)} are free")
        if disk is not None and self.disk > disk / 2:
            found.append(f"warning: {in_words(disk)} are free on the disk of {self.place}")
        if self.seconds_at_least > SLOW_S:
            width = self.config.model.generator.get("width")
            now = f" (model.generator.width is {width})" if width else ""
            found.append(
                f"warning: a step takes at least {self.seconds_at_least:,.0f} s on this CPU; narrower networks{now}, "
                f"smaller images or a smaller batch_size take less"
            )
        written = self.written_checkpoints * self.step.checkpoint
        if written > MUCH_TO_WRITE:
            every = self.config.checkpoint_every_steps
            slower = -(-every * written // int(MUCH_TO_WRITE))
            found.append(
                f"warning: checkpoint_every_steps={every} writes {self.written_checkpoints:,} checkpoints, "
                f"{in_words(written)} in all; with {slower} it would be {in_words(MUCH_TO_WRITE)}"
            )
        return found

    def refuse_too_little(self) -> None:
        """Raises UserError if memory or disk clearly can't suffice, with what would fit."""
        if not self.config.check_resources:
            return
        anyway = "or train anyway with check_resources=false"
        if self.memory is not None and self.limit is not None and self.memory > CLEARLY * self.limit:
            each = f"each of {self.sharing} processes" if self.sharing > 1 else "this machine"
            whose = "the GPU" if self.device.type == "cuda" else each
            raise UserError(
                f"batch_size={self.config.batch_size}: this run needs about {in_words(self.memory)} of memory, and "
                f"{whose} has {in_words(self.limit)}; set {self.what_would_fit(self.limit)}; {anyway}"
            )
        free = self.free_disk
        if free is not None and self.disk > CLEARLY * free:
            fewer = "keep_checkpoints=1, " if self.config.keep_checkpoints > 1 else ""
            raise UserError(
                f"keep_checkpoints={self.config.keep_checkpoints}: this run needs about {in_words(self.disk)} on the "
                f"disk, {in_words(self.step.checkpoint)} for each checkpoint, and {in_words(free)} are free there; set "
                f"{fewer}narrower networks or another hydra.run.dir, make room, {anyway}"
            )

    def what_would_fit(self, limit: int) -> str:
        def needed(config: Config) -> int | None:
            state = self.state
            if config.model != self.config.model:
                state = build_state(config, self.data.spec, torch.device("cpu"))
            return self._memory(_step_memory(config, state, self.data, self.rows, self.device))

        return remedies(self.config, self.state, self.rows, limit, self._may_halve, needed)

    @property
    def _may_halve(self) -> bool:
        """Whether the run could compute in bfloat16 as fast as it does."""
        return has_bf16(self.device) and needs_float32(self.config) is None

    def after_running_out(self) -> str:
        """What to train anew with after the memory was not enough."""
        found = [value for value in (self.limit, self._free) if value is not None]
        if self.memory is None:
            half = self._may_halve and self.config.device.precision != "bf16"
            return (
                f"a smaller batch_size (now {self.config.batch_size}), a micro_batch_size (computes a batch in parts), "
                f"{'device.precision=bf16 ' if half else ''}or narrower networks"
            )
        lower = self.there + round(0.7 * (self.memory - self.there))
        # If the estimate was below what there is, it was too low, or the memory is limited in some other way.
        limit = min([value for value in found if value < self.memory], default=lower)
        return f"{self.what_would_fit(limit)}; it was estimated to need {in_words(self.memory)}"


def run_needs(
    config: Config, state: TrainingState, data: PackedImages, device: torch.device, place: str, ranks: Ranks = ALONE
) -> Needs:
    there = data.images.nbytes if data.images.is_cuda else 0
    if device.type != "cuda":
        networks = sum(tensor.nbytes for tensor in state.tensors) if device.type == "cpu" else 0
        there = max(0, resident_memory() - networks)
    sharing = 1 if device.type == "cuda" else ranks.local_count
    return Needs(config, state, data, device, config.batch_size // ranks.count, Path(place), sharing, there)


def _step_memory(
    config: Config, state: TrainingState, data: PackedImages, rows: int, device: torch.device
) -> StepMemory:
    step_config = replace(build_step_config(config), micro_batch_size=config.micro_batch_size)
    of_step = (state, step_config, data.spec, config.latent_dim, rows)
    samples = _samples(config, data)
    counted_on = torch.device("cpu") if device.type == "cpu" and is_short(*of_step, samples) else META

    def optimizers(networks: Mapping[str, nn.Module]) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        def of(name: str) -> torch.optim.Optimizer:
            return build_optimizer(config, f"optimizer.{name}", networks[name], counted_on)

        return of("generator"), of("discriminator")

    return step_memory(*of_step, optimizers, counted_on, device.type, samples)


def _samples(config: Config, data: PackedImages) -> Samples:
    """Of the grid or the doctor, whichever has more."""
    if data.extent is not None:
        return Samples(max(SCATTER_POINTS, POINTS))
    grid = grid_rows(config.grid_rows, data.spec, config.conditional) * config.grid_columns
    held_out = len(data.images) <= SMALL and config.dataset.get("held_out", 0) > 0
    return Samples(max(grid, SAMPLES), scored=held_out)
