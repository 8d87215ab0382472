"""Whether a network computes what its `chain()` says: a subclass whose `forward` does more inherits that method too."""

import copy

import torch
from torch import Tensor, nn

from gan_exp.training.acceleration.manual_layers import Batching, ManualNetwork

PROBES = 8  # inputs on which both are compared


def manual_networks(generator: nn.Module, discriminator: nn.Module) -> tuple[ManualNetwork, ManualNetwork]:
    """Raises ValueError, with the reason in a few words, where one is not a chain of plain layers or does more."""
    networks = _manual_network(generator), _manual_network(discriminator)
    first = next((layer for layer in generator.modules() if isinstance(layer, nn.Linear)), None)
    if first is None:
        raise ValueError(f"{type(generator).__name__} has no linear layer")
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(PROBES, first.in_features, generator=random, dtype=torch.double)
    _refuse_other_results(discriminator, _refuse_other_results(generator, latents, random), random)
    return networks


def _manual_network(network: nn.Module) -> ManualNetwork:
    name = type(network).__name__
    layers = getattr(network, "chain", None)
    if layers is None:
        raise ValueError(f"{name} is no chain of plain layers")
    manual = ManualNetwork(layers())
    parameters = [parameter for layer in layers() for parameter in layer.parameters()]
    if {*map(id, parameters)} != {*map(id, network.parameters())}:
        raise ValueError(f"{name} has parameters that its chain leaves out")
    if not all(parameter.requires_grad for parameter in parameters):
        raise ValueError(f"{name} is frozen in part")
    return manual


def _refuse_other_results(network: nn.Module, inputs: Tensor, random: torch.Generator) -> Tensor:
    """Compare a copy with random weights in float64 with its chain; returns the outputs for `inputs`.

    The result does not depend on how far the network is trained, and neither it nor torch's random state changes.
    """
    plain = copy.deepcopy(network).double().cpu()
    for parameter in plain.parameters():  # a layer that begins as the identity may become another
        bound = (3 / (parameter[0].numel() if parameter.ndim > 0 else 1)) ** 0.5
        parameter.grad = None
        nn.init.uniform_(parameter, -bound, bound, generator=random)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            outputs, equal = _compare(plain, copy.deepcopy(plain), inputs)
        except Exception as error:  # a user's class may raise anything
            raise ValueError(f"{type(network).__name__} can't be compared with its chain: {error}") from error
    if not equal:
        raise ValueError(f"{type(network).__name__} computes something else than its chain")
    return outputs


@torch.enable_grad()
def _compare(plain: nn.Module, chained: nn.Module, inputs: Tensor) -> tuple[Tensor, bool]:
    """The outputs of `plain`, and whether the chain of `chained` agrees in both modes, in gradients and in buffers."""
    with torch.no_grad():
        inferred: Tensor = plain.eval()(inputs)
    leaf = inputs.clone().requires_grad_()
    outputs: Tensor = plain.train()(leaf)
    outputs.sin().sum().backward()

    with torch.no_grad():
        manual = ManualNetwork(chained.chain())  # type: ignore[operator]
        both = manual.forward(torch.cat([inputs, inputs]), Batching(len(inputs), inference=True))
        manual_inferred, manual_outputs = both.chunk(2)
        to_inputs = manual.backward(manual_outputs.cos(), to_inputs=True)
    pairs = [
        (inferred, manual_inferred.view_as(inferred)),
        (outputs.detach(), manual_outputs.view_as(outputs)),
        (leaf.grad, to_inputs),
        *zip(plain.buffers(), chained.buffers(), strict=True),
        *((one.grad, other.grad) for one, other in zip(plain.parameters(), chained.parameters(), strict=True)),
    ]
    return outputs.detach(), all(map(_close, *zip(*pairs, strict=True)))


def _close(one: Tensor | None, other: Tensor | None) -> bool:
    """Equal up to rounding in float64; a missing gradient equals only another missing one, not one of zeros."""
    if one is None or other is None:
        return one is other
    one, other = one.double(), other.double()
    return bool((one - other).norm() <= 1e-8 * (1 + one.norm()))
