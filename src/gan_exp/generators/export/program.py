"""A trained generator as one graph that needs no class: torch.export's program, from which ONNX is made too."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.utils import parametrize

from gan_exp.errors import UserError
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.models.sampling import generate

TOLERANCE = 1e-5  # between the images of an exported file and the run's
BATCHES = (1, 5)  # as many images at a time are compared
LONGEST_REASON = 200  # letters

Images = Callable[[Tensor, Tensor | None], Tensor]  # of latents [N, latent_dim] and labels [N]


class Bounded(nn.Module):
    """The images of a network, clamped to [-1, 1] as those of `TrainedGenerator.images`; points as they are."""

    def __init__(self, network: nn.Module, points: bool) -> None:
        super().__init__()
        self.network, self.points = network, points

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images = generate(self.network, latents, labels)
        return images if self.points else images.clamp(-1, 1)


def input_names(trained: TrainedGenerator) -> list[str]:
    return ["latents", "labels"] if trained.conditional else ["latents"]


def export_program(trained: TrainedGenerator) -> ExportedProgram:
    """The program, for any number of latents. Raises UserError for a network that torch.export can't follow."""
    network = Bounded(plain_copy(trained.network), trained.spec.extent is not None).eval()
    inputs = [torch.zeros(2, trained.latent_dim), torch.zeros(2, dtype=torch.long)][: len(input_names(trained))]
    batch = Dim("batch", min=1)
    try:
        program = torch.export.export(network, tuple(inputs), dynamic_shapes=tuple({0: batch} for _ in inputs))
    except Exception as error:  # whatever the tracing of a class of the user's own raises
        raise cannot_export(trained, "torch.export", error) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths and lines of this machine
    return program


def cannot_export(trained: TrainedGenerator, exporter: str, error: Exception) -> UserError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0][:LONGEST_REASON] if lines else type(error).__name__
    target = trained.config.model.generator["_target_"]
    return UserError(f"{target}: {exporter} can't follow it ({reason}); --format safetensors keeps its weights")


def plain_copy(network: nn.Module) -> nn.Module:
    """A copy in eval mode with plain weights: parametrizations such as spectral norm computed, memory contiguous."""
    plain = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module):
            _compute_weights(module)
    return plain.to(memory_format=torch.contiguous_format)


def _compute_weights(module: nn.Module) -> None:
    """As `parametrize.remove_parametrizations`, which would change the class, which a copy shares with its original."""
    names = list(module.parametrizations)  # type: ignore[arg-type]
    values = {name: getattr(module, name).detach().clone() for name in names}
    kind = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    module.__class__ = kind
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


@torch.no_grad()
def largest_difference(trained: TrainedGenerator, images: Images) -> float:
    """The largest difference of a pixel between `images` and the run's generator, called with the same batches."""
    network = Bounded(trained.network, trained.spec.extent is not None)
    largest = 0.0
    for count in BATCHES:
        latents, labels = trained.latents(0, range(count)), trained.labels(range(count))
        wanted, found = network(latents, labels), images(latents, labels)
        if found.shape != wanted.shape:
            return float("inf")
        difference = (found - wanted).abs().nan_to_num(float("inf")).max().item()
        largest = max(largest, difference)
    return largest
