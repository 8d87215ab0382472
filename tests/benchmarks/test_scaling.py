"""The benchmark of several processes: its model's arithmetic, and that it counts a step's collectives right."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from benchmarks.scaling.__main__ import model_table, size_text
from benchmarks.scaling.messages import RECIPES, Recipe, messages
from benchmarks.scaling.model import CALL, CLUSTERS, PROTOCOLS, Cluster, Message, efficiency, seconds
from benchmarks.speed.gpu import package
from torch import Tensor

from gan_exp.data.packed import Batches, PackedImages
from gan_exp.models.synchronised import synchronise_batch_norm
from gan_exp.runtime.randomness import Rows, Streams
from gan_exp.runtime.ranks import Ranks
from gan_exp.training.inputs import InputSource
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step

WIDE, NARROW = Cluster("wide", 1, 8, 400, True), Cluster("narrow", 1, 8, 4, True)


def test_a_large_message_takes_the_time_of_its_bytes() -> None:
    travels = 2 * 7 / 8 * 1e9
    assert seconds([Message(10**9)], WIDE) == pytest.approx(travels / (0.8 * 400e9), rel=0.05)
    assert seconds([Message(10**9)], NARROW) == pytest.approx(travels / (0.8 * 4e9), rel=0.001)
    assert seconds([Message(10**8, halves=1)], NARROW) == pytest.approx(7 * 10**8 / (0.8 * 4e9), rel=0.001)


def test_a_small_one_that_of_its_hops_by_the_protocol_of_short_latencies() -> None:
    low = PROTOCOLS[1]
    assert seconds([Message(4)], WIDE) == pytest.approx(1e-6 * (CALL + low.base + 14 * low.nvlink), rel=1e-4)
    nodes = replace(WIDE, nodes=4, between=400)
    hops = 2 * 28 * low.nvlink + 2 * 3 * low.network
    assert seconds([Message(4)], nodes) == pytest.approx(1e-6 * (CALL + low.base + hops), rel=1e-4)


def test_the_slowest_link_counts_and_efficiency_falls_with_it() -> None:
    sent = [Message(10**8)]
    assert replace(WIDE, nodes=2, between=10).bandwidth == pytest.approx(8e9)
    values = [efficiency(0.1, sent, cluster) for cluster in (WIDE, replace(WIDE, nodes=4, between=400), NARROW)]
    assert values == sorted(values, reverse=True) and 0 < values[-1] < values[0] < 1
    assert efficiency(0.2, sent, NARROW) > efficiency(0.1, sent, NARROW)


def test_the_table_has_a_cell_for_each_recipe_and_cluster() -> None:
    rows = model_table([recipe for recipe in RECIPES if recipe.h100_ms])
    assert all(len(row) == 4 + len(CLUSTERS) for row in rows) and len(rows) == 5
    assert [size_text(size) for size in (4, 40_000, 80_000_000)] == ["4 B", "40 KB", "80.0 MB"]


class Counting(Ranks):
    """One of two ranks, which counts what it would exchange."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.sums: list[int] = []
        self.gathers: list[int] = []

    def sum_(self, tensors: Any) -> None:
        self.sums.append(sum(tensor.nbytes for tensor in tensors))

    def gather(self, tensor: Tensor) -> Tensor:
        self.gathers.append(tensor.nbytes)
        return torch.cat([tensor, tensor])


@pytest.mark.parametrize("made", [package.ARTICLE, package.SNGAN_CIFAR], ids=lambda made: made.name)
def test_the_collectives_of_a_step(made: package.Recipe) -> None:
    widths = {"widths": [8]} if made is package.ARTICLE else {"width": 4}
    blocks = {} if made is package.ARTICLE else {"plain_blocks": 1, "coarsest": 8}
    small = replace(
        made, batch=4, images=8, n_critic=min(made.n_critic, 2), generator_model=widths,
        discriminator_model={**widths, **blocks}, spectral=False,
    )  # fmt: skip
    ranks = Counting()
    networks = small.networks("cpu")
    for network in networks:
        synchronise_batch_norm(network, ranks)
    optimizers = [torch.optim.SGD(network.parameters(), 0.01) for network in networks]
    state = TrainingState(networks[0], networks[1], networks[0], *optimizers)
    batches = Batches(PackedImages(small.noise("cpu"), known_digest="noise"), 4, "with_replacement", 0)
    inputs = InputSource(batches, Streams(0), small.latent_dim, small.n_critic, rows=Rows(0, 2, 4))
    train_step(state, replace(small.config, ranks=ranks), inputs.discriminator(0), inputs.generator(0))
    sent = messages(Recipe("small", 4, networks=small))
    assert sorted(ranks.gathers) == sorted(message.size for message in sent if message.halves == 1)
    assert len(ranks.sums) == sum(message.halves == 2 for message in sent)
    least = sum(message.size for message in sent if message.halves == 2)
    assert least <= sum(ranks.sums) < 1.5 * least + 2000  # with losses, logits and flags
