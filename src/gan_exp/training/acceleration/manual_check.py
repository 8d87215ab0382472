"""Whether a network computes what its `chain()` says: a subclass whose `forward` does more inherits that method too."""

import copy

import torch
from torch import Tensor, nn

from gan_exp.training.acceleration.manual_layers import Batching, Chain

PROBES = 8  # inputs that both are compared on


def manual_networks(generator: nn.Module, discriminator: nn.Module) -> tuple[Chain, Chain]:
    """Raises ValueError, with the reason in a few words, where one is no chain of plain layers or no more than that."""
    chains = _chain(generator), _chain(discriminator)
    first = next((layer for layer in generator.modules() if isinstance(layer, nn.Linear)), None)
    if first is None:
        raise ValueError(f"{type(generator).__name__} has no linear layer")
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(PROBES, first.in_features, generator=random, dtype=torch.double)
    _refuse_more_than_a_chain(discriminator, _refuse_more_than_a_chain(generator, latents, random), random)
    return chains


def _chain(network: nn.Module) -> Chain:
    name = type(network).__name__
    layers = getattr(network, "chain", None)
    if layers is None:
        raise ValueError(f"{name} is no chain of plain layers")
    chain = Chain(layers())
    parameters = [parameter for layer in layers() for parameter in layer.parameters()]
    if {*map(id, parameters)} != {*map(id, network.parameters())}:
        raise ValueError(f"{name} has parameters that its chain leaves out")
    if not all(parameter.requires_grad for parameter in parameters):
        raise ValueError(f"{name} is frozen in part")
    return chain


def _refuse_more_than_a_chain(network: nn.Module, inputs: Tensor, random: torch.Generator) -> Tensor:
    """The outputs for `inputs` of a copy, with random weights in float64, that was compared with its chain.

    What is found does not depend on how far the network is trained, and nothing of it or of torch's randomness changes.
    """
    plain = copy.deepcopy(network).double().cpu()
    for parameter in plain.parameters():  # a layer that begins as the identity does not stay it
        bound = (3 / (parameter[0].numel() if parameter.ndim > 0 else 1)) ** 0.5
        parameter.grad = None
        nn.init.uniform_(parameter, -bound, bound, generator=random)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            outputs, equal = _compare(plain, copy.deepcopy(plain), inputs)
        except Exception as error:  # whatever a class of the user's may raise with such inputs
            raise ValueError(f"{type(network).__name__} can't be compared with its chain: {error}") from error
    if not equal:
        raise ValueError(f"{type(network).__name__} computes something else than its chain")
    return outputs


@torch.enable_grad()
def _compare(plain: nn.Module, chained: nn.Module, inputs: Tensor) -> tuple[Tensor, bool]:
    """What the one makes of `inputs`, and whether the other's chain does: in both modes, with gradients and buffers."""
    with torch.no_grad():
        inferred: Tensor = plain.eval()(inputs)
    leaf = inputs.clone().requires_grad_()
    outputs: Tensor = plain.train()(leaf)
    outputs.sin().sum().backward()

    with torch.no_grad():
        chain = Chain(chained.chain())  # type: ignore[operator]
        both = chain.forward(torch.cat([inputs, inputs]), Batching(len(inputs), inference=True))
        own_inferred, own = both.chunk(2)
        to_inputs = chain.backward(own.cos(), to_inputs=True)
    pairs = [
        (inferred, own_inferred.view_as(inferred)),
        (outputs.detach(), own.view_as(outputs)),
        (leaf.grad, to_inputs),
        *zip(plain.buffers(), chained.buffers(), strict=True),
        *((one.grad, other.grad) for one, other in zip(plain.parameters(), chained.parameters(), strict=True)),
    ]
    return outputs.detach(), all(map(_close, *zip(*pairs, strict=True)))


def _close(one: Tensor | None, other: Tensor | None) -> bool:
    """To rounding in float64; a gradient that is missing is none of zero."""
    if one is None or other is None:
        return one is other
    one, other = one.double(), other.double()
    return bool((one - other).norm() <= 1e-8 * (1 + one.norm()))
