"""The memory that a training step takes, counted in a step of a copy of the networks.

So whatever a model, a penalty or an augmentation does is counted as it is. On torch's meta device tensors have shapes
and no values, and the step takes neither memory nor long. What a library takes inside an operation, such as a
convolution's rearranged inputs, does not show.
"""

import copy
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from gan_exp.data.packed import Batch, DataSpec
from gan_exp.models.parts import counted_for
from gan_exp.runtime.resources import resident_memory
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, UpdateInputs

META = torch.device("meta")
CONVOLUTIONS = {torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default}
DRAWS = {torch.rand, torch.randn, torch.randint, torch.randperm}

# Of a step that is counted with values; it takes several times the memory and the operations of its first passes.
SEVERAL = 30
MOST_BYTES = 1e9
MOST_OPERATIONS = 30e9  # about half a second of two cores

BuildOptimizers = Callable[[Mapping[str, nn.Module]], tuple[torch.optim.Optimizer, torch.optim.Optimizer]]


@dataclass(frozen=True)
class StepMemory:
    """Bytes. `lasting` is there between steps: weights, the average, gradients and the optimizers' moments."""

    lasting: int
    peak: int | None  # within a step, `lasting` included; None if it can't be counted
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
    drawing = _AnyValues() if device.type == "meta" else torch.random.fork_rng(devices=[])
    with counted_for(kind), drawing, _Counting(_tensors(shadow)) as counting:
        _fill_optimizers(shadow)
        lasting = counting.peak = counting.live
        try:
            train_step(shadow, config, [inputs], inputs)
            peak = counting.peak
        except Exception as error:
            why_unknown = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    operations = counting.operations * whole // rows
    imported = max(0, resident_memory() - before) if device.type == "meta" else 0
    return StepMemory(lasting, peak, _bytes(tree_leaves(shadow.state_dict())), why_unknown, operations, imported)


def is_short(state: TrainingState, config: StepConfig, spec: DataSpec, latent_dim: int, rows: int) -> bool:
    """Whether a step of `rows` images, on a CPU, clearly takes less than a second and a gigabyte.

    It is then counted with values: the meta device needs torch's compiler, whose import alone takes a second. Two rows
    pass through the networks for this.
    """
    if sum(tensor.nbytes for tensor in state.tensors) > MOST_BYTES / 10:  # a copy, gradients, moments
        return False
    generator, discriminator = (copy.deepcopy(network).eval() for network in state.networks.values())
    channels, height, width = spec.image_shape
    labels = [torch.zeros(2, dtype=torch.long)] if config.conditional else []
    there = [tensor for network in (generator, discriminator) for tensor in network.state_dict().values()]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), _Counting(there) as counting:
            generator(torch.zeros(2, latent_dim), *labels)
            discriminator(torch.zeros(2, channels * config.pac, height, width), *labels)
    except Exception:  # a class of the user's own
        return False
    each = SEVERAL * rows / 2
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


def _tensors(state: TrainingState) -> list[Tensor]:
    buffers = [] if state.augment is None else list(state.augment.buffers())
    return [*state.tensors, *buffers]


def _bytes(values: list[Any]) -> int:
    """Of the tensors among `values`; those that share memory count once."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    return sum({id(tensor.untyped_storage()): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


class _AnyValues(TorchFunctionMode):
    """Random numbers are not drawn, since their generators belong to another device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in DRAWS:
            kwargs = {key: value for key, value in kwargs.items() if key != "generator"}
            device = torch.device(kwargs.get("device") or "cpu")
            if device.type == "meta" and function in (torch.rand, torch.randn):
                return torch.empty(*args, **kwargs)
        return function(*args, **kwargs)


def _channels_last(made: Any) -> Any:
    """As the results of convolutions lie on a CPU or GPU; on the meta device they don't, and would be copied."""
    if isinstance(made, tuple | list):
        return tuple(_channels_last(value) for value in made)
    if not (isinstance(made, Tensor) and made.is_meta and made.ndim == 4):
        return made
    return torch.empty_like(made, memory_format=torch.channels_last)


class _Counting(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, until they are freed, and the operations on numbers."""

    def __init__(self, there: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = self.made = self.operations = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        for tensor in there:
            self._add(tensor)
        self.made = 0  # bytes in all, without those of `there`

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No, says torch: else the first operation imports the compiler (`runtime/no_compiler.py`)."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if count is not None:
            self.operations += count(*args, **(kwargs or {}), out_val=made)
        if function in CONVOLUTIONS:
            made = _channels_last(made)
        for value in made if isinstance(made, tuple | list) else (made,):
            if isinstance(value, Tensor):
                self._add(value)
        return made

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:
            size = storage.nbytes()
            self._known.add(storage)
            self.made += size
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size
