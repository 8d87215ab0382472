"""The benchmark of a recipe's step beside peers' networks: all of them take a step, with the published widths."""

import pytest
import torch
from benchmarks.own_images.peers import PEERS, steps


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_peer_takes_a_step(name: str, bf16: bool) -> None:
    training = steps(name, 1 / 16, batch=2, bf16=bf16)
    next(training)
    next(training)


@pytest.mark.parametrize(("name", "widths"), [("FastGAN", (1024, 128)), ("lightweight-gan", (256, 128))])
def test_the_own_widths(name: str, widths: tuple[int, int]) -> None:
    with torch.device("meta"):
        generator = PEERS[name][0](1.0)
    norms = [layer for layer in generator.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert (norms[0].num_features, norms[-1].num_features) == (2 * widths[0], 2 * widths[1])
