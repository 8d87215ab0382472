"""BatchNorm over ranks equals nn.BatchNorm of the whole batch, to the second derivative."""

import copy
from collections.abc import Callable

import pytest
import torch
from tests.threaded_ranks import in_threads
from torch import Tensor, nn

from gan_exp.errors import UserError
from gan_exp.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_exp.models.mlp import KerasBatchNorm1d, MLPGenerator
from gan_exp.models.synchronised import synchronise_batch_norm
from gan_exp.runtime.ranks import ALONE, Ranks

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)),
    "keras": lambda: nn.Sequential(nn.Linear(6, 8), KerasBatchNorm1d(8, eps=1e-3, momentum=0.2), nn.Tanh()),
    "plain average": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=None), nn.Tanh()),
    "without weights": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, affine=False), nn.Tanh()),
    "nothing averaged": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Tanh()),
    "sequences": lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.BatchNorm1d(2), nn.Flatten(), nn.Tanh()),
    "channels last": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)
    ).to(memory_format=torch.channels_last),
    "images": lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Tanh()),
}


def trained(network: nn.Module, batches: list[Tensor], ranks: Ranks, penalised: bool) -> dict[str, Tensor]:
    """State and averaged gradients after two batches, of which this rank has its rows; also the last outputs."""
    network = copy.deepcopy(network)
    synchronise_batch_norm(network, ranks)
    for whole in batches:
        inputs = whole[ranks.rows(len(whole))].clone().requires_grad_()
        outputs = network(inputs)
        value = (outputs.flatten(1).sum(1) ** 2).mean()
        if penalised:
            (gradient,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
            value = value + gradient.square().flatten(1).sum(1).mean()
        value.backward()
    assert inputs.grad is not None
    gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    ranks.sum_(list(gradients.values()))
    found = {name: value / ranks.count for name, value in gradients.items()}
    own = {"outputs": outputs.detach(), "gradient of inputs": inputs.grad / ranks.count}
    gathered = {name: ranks.gather(value) for name, value in own.items()}
    return {**found, **gathered, **network.state_dict()}


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_whole_batch_to_the_second_derivative(name: str, penalised: bool, count: int) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    batches = [torch.randn(8, 6, dtype=torch.double) * 3 + 5 for _ in range(2)]
    expected = trained(network, batches, ALONE, penalised)
    found = in_threads(count, lambda ranks: trained(network, batches, ranks, penalised))
    for rank, values in enumerate(found):
        assert list(values) == list(expected)
        for key, value in values.items():
            assert torch.allclose(value, expected[key], rtol=1e-10, atol=1e-10), f"{key} of rank {rank}"
            assert torch.equal(value, found[0][key]), f"{key}: ranks differ"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_digits_survive_a_large_mean(dtype: torch.dtype) -> None:
    inputs = (torch.randn(64, 3) + (1000.0 if dtype == torch.float32 else 20.0)).to(dtype)
    expected = nn.BatchNorm1d(3)(inputs.float())

    def normalise(ranks: Ranks) -> Tensor:
        layer = nn.BatchNorm1d(3)
        synchronise_batch_norm(layer, ranks)
        return ranks.gather(layer(inputs[ranks.rows(64)]))

    found = in_threads(2, normalise)[0]
    assert found.dtype == dtype
    rounding = 1e-3 if dtype == torch.float32 else 2**-8 * expected.abs().max()
    assert (found - expected).abs().max() <= rounding


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLPGenerator(6, (1, 8, 8), widths=(8,)),
        lambda: DCGANGenerator(6, (1, 8, 8), width=4, hidden=(8,)),
        lambda: DCGANDiscriminator((1, 8, 8), width=4),
    ],
)
def test_a_checkpoint_goes_between_one_and_several_processes(make: Callable[[], nn.Module]) -> None:
    plain, several = make(), make()
    synchronise_batch_norm(several, Ranks(0, 2))
    several.load_state_dict(plain.state_dict())
    assert list(several.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(several.state_dict())


def test_in_inference_mode_one_rank_works_alone() -> None:
    plain, several = (MLPGenerator(6, (1, 8, 8), widths=(8,)).eval() for _ in range(2))
    several.load_state_dict(plain.state_dict())
    synchronise_batch_norm(several, Ranks(1, 2))  # which could not meet the other
    latents = torch.randn(4, 6)
    assert torch.equal(several(latents), plain(latents))
    assert torch.equal(copy.deepcopy(several)(latents), plain(latents))


def test_one_process_keeps_the_layers_of_torch() -> None:
    layer = nn.BatchNorm1d(3)
    synchronise_batch_norm(layer, ALONE)
    assert type(layer) is nn.BatchNorm1d


def test_an_unknown_batch_norm_is_refused_by_name() -> None:
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(UserError, match=r"its layer 1 \(Own\) is a BatchNorm that can't be taken over several"):
        synchronise_batch_norm(nn.Sequential(nn.ReLU(), Own(3)), Ranks(0, 2))
