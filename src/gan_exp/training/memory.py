"""The memory that a training step and the samples between steps take, counted with a copy of the networks.

So whatever a model, a penalty or an augmentation does is counted as it is. On torch's meta device tensors have shapes
and no values, and the step takes neither memory nor long.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gan_exp.data.packed import Batch, DataSpec
from gan_exp.models.examples import example_inputs
from gan_exp.models.parts import counted_for
from gan_exp.models.sampling import at_once, generate_all
from gan_exp.runtime.resources import resident_memory
from gan_exp.training.counting import AnyValues, Counting
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, UpdateInputs

META = torch.device("meta")

# Of a step that is counted with values; it takes several times the memory and the operations of its first passes.
SEVERAL = 30
MOST_BYTES = 1e9
MOST_OPERATIONS = 30e9  # about half a second of two cores

BuildOptimizers = Callable[[Mapping[str, nn.Module]], tuple[torch.optim.Optimizer, torch.optim.Optimizer]]


@dataclass(frozen=True)
class Samples:
    """What is made between two steps: so many images by the averaged generator; D may score others."""

    count: int
    scored: bool = False


@dataclass(frozen=True)
class StepMemory:
    """Bytes. `lasting` is there between steps: weights, the average, gradients and the optimizers' moments."""

    lasting: int
    peak: int | None  # within a step, `lasting` included; None if it can't be counted
    largest: int  # of the tensors that a step makes
    samples: int  # while samples are made, `lasting` included
    checkpoint: int  # the tensors that a checkpoint holds
    why_unknown: str = ""
    operations: int = 0  # floating point, of convolutions and matrix products; not bytes
    imported: int = 0  # what the process has grown by while it was counted: modules that stay


def step_memory(
    state: TrainingState,
    config: StepConfig,
    spec: DataSpec,
    latent_dim: int,
    rows: int,
    optimizers: BuildOptimizers,
    device: torch.device = META,
    kind: str = "cpu",
    samples: Samples = Samples(0),
) -> StepMemory:
    """Of a step of `rows` images at `state`, which stays as it is; `optimizers` builds those of a copy on `device`.

    A class of the user's own may look at values, which are not there on the meta device: then the peak is unknown.
    `kind` of device: the run's, since some layers have forms of their own on a GPU.
    """
    size, whole = config.micro_batch_size, rows
    if size is not None:
        rows = min(rows, 2 * size)  # further micro-batches take no more
    config = replace(config, micro_batch_size=None if size is None or size >= rows else size)
    shadow = _copy(state, optimizers, device)
    inputs = _inputs(spec, latent_dim, rows, device)
    peak, why_unknown, before = None, "", resident_memory()
    drawing = AnyValues() if device.type == "meta" else torch.random.fork_rng(devices=[])
    with counted_for(kind), drawing, Counting(_tensors(shadow)) as counting:
        _fill_optimizers(shadow)
        lasting = counting.peak = sampling = counting.live
        counting.largest = 0
        try:
            train_step(shadow, config, [inputs], inputs)
            operations, within_step, largest = counting.operations, counting.peak, counting.largest
            counting.peak = counting.live
            _make_samples(shadow, config, spec, latent_dim, samples, device)
            peak, sampling = within_step, counting.peak
        except Exception as error:
            why_unknown = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            operations, largest = counting.operations, counting.largest
    operations = operations * whole // rows
    imported = max(0, resident_memory() - before) if device.type == "meta" else 0
    checkpoint = _bytes(tree_leaves(shadow.state_dict()))
    return StepMemory(lasting, peak, largest, sampling, checkpoint, why_unknown, operations, imported)


def is_short(
    state: TrainingState, config: StepConfig, spec: DataSpec, latent_dim: int, rows: int, samples: Samples = Samples(0)
) -> bool:
    """Whether a step of `rows` images and the samples, on a CPU, clearly take less than a second and a gigabyte.

    They are then counted with values: the meta device needs torch's compiler, whose import alone takes a second. Two
    rows pass through the networks for this.
    """
    if sum(tensor.nbytes for tensor in state.tensors) > MOST_BYTES / 10:  # a copy, gradients, moments
        return False
    generator, discriminator = (copy.deepcopy(network).eval() for network in state.networks.values())
    examples = example_inputs(2, latent_dim, spec.image_shape, config.pac, config.conditional)
    there = [tensor for network in (generator, discriminator) for tensor in network.state_dict().values()]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), Counting(there) as counting:
            generator(*examples.generator)
            discriminator(*examples.discriminator)
    except Exception:  # a class of the user's own
        return False
    each = (SEVERAL * rows + samples.count) / 2
    return bool(each * counting.operations < MOST_OPERATIONS and each * counting.made < MOST_BYTES)


def _copy(state: TrainingState, optimizers: BuildOptimizers, device: torch.device) -> TrainingState:
    """On the meta device without values."""
    networks = [state.generator, state.discriminator, state.generator_ema, state.augment]
    memo: dict[int, Any] = {}
    for network in networks if device.type == "meta" else ():
        for parameter in network.parameters() if network is not None else ():
            empty = torch.empty_like(parameter, device=META)
            memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
        for buffer in network.buffers() if network is not None else ():
            memo[id(buffer)] = torch.empty_like(buffer, device=META)
    generator, discriminator, average, augment = (copy.deepcopy(network, memo) for network in networks)
    assert generator is not None and discriminator is not None and average is not None
    of_generator, of_discriminator = optimizers({"generator": generator, "discriminator": discriminator})
    return TrainingState(generator, discriminator, average, of_generator, of_discriminator, augment)


def _fill_optimizers(state: TrainingState) -> None:
    """Gradients and moments as after a step; later steps change nothing, as the fused ones take no memory."""
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)  # so that G differs from its average
        optimizer.step()
        optimizer.step = lambda closure=None: None  # type: ignore[method-assign, assignment]


def _inputs(spec: DataSpec, latent_dim: int, rows: int, device: torch.device) -> UpdateInputs:
    images = torch.zeros(rows, *spec.image_shape, dtype=torch.uint8, device=device)
    labels = torch.zeros(rows, dtype=torch.long, device=device)
    latents = torch.zeros(rows, latent_dim, device=device)
    return UpdateInputs(latents, Batch(images, labels), lambda purpose: torch.Generator(), measured=True)


@torch.no_grad()
def _make_samples(
    state: TrainingState, config: StepConfig, spec: DataSpec, latent_dim: int, samples: Samples, device: torch.device
) -> None:
    """As the grid and the doctor do, in chunks, D the first of its own alone."""
    if not samples.count:
        return
    chunk = at_once(spec.image_shape)
    shapes = latent_dim, spec.image_shape, config.pac, config.conditional, device
    latents, *labels = example_inputs(samples.count, *shapes).generator
    generate_all(state.generator_ema, latents, labels[0] if labels else None, device=device, chunk=chunk)
    if samples.scored:
        state.discriminator.eval()(*example_inputs(chunk, *shapes).discriminator)


def _tensors(state: TrainingState) -> list[Tensor]:
    buffers = [] if state.augment is None else list(state.augment.buffers())
    return [*state.tensors, *buffers]


def _bytes(values: list[Any]) -> int:
    """Of the tensors among `values`; those that share memory count once."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    return sum({id(tensor.untyped_storage()): tensor.untyped_storage().nbytes() for tensor in tensors}.values())
