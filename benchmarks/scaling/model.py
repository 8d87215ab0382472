"""Predicts the efficiency of many GPUs from a measured step, the bytes that travel and the links' bandwidths.

A step on n GPUs takes the time of its computing plus that of its collectives, which gan-exp does not overlap. A ring
all-reduce of S bytes takes

    call + base + 2 (n - 1) / n * S / bandwidth + latencies of its 2 (n - 1) hops,

of which 2 (nodes - 1) cross the network. This is the form of NCCL's own cost model, by which it chooses between its
protocols: `simple` has the whole bandwidth, `LL` a quarter of it and short latencies. The faster one counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

UTILISATION = 0.8  # of a link's nominal bandwidth that large messages reach


@dataclass(frozen=True)
class Protocol:
    """Latencies in microseconds: of any message, and of a hop; `share` of the bandwidth."""

    base: float
    nvlink: float
    pcie: float
    network: float
    share: float


# The rings of NCCL's src/graph/tuning.cc: `baseLat` and `hwLat`
PROTOCOLS = (Protocol(8.4, 3.4, 5.7, 9.6, 1.0), Protocol(3.6, 0.47, 1.0, 2.7, 0.25))
CALL = 40.0  # microseconds until Python has asked for a collective, which a step kernel by kernel waits for


@dataclass(frozen=True)
class Cluster:
    """Nominal bandwidths in GB/s and one direction: of a GPU inside its node, and of a whole node to the others."""

    name: str
    nodes: int
    gpus: int  # of each node
    inside: float
    nvlink: bool
    between: float = 0.0
    source: str = ""

    @property
    def size(self) -> int:
        return self.nodes * self.gpus

    @property
    def bandwidth(self) -> float:
        """Bytes a second that pass each link of the rings."""
        slowest = self.inside if self.nodes == 1 else min(self.inside, self.between)
        return UTILISATION * slowest * 1e9


NVLINK_4 = "NVIDIA's data sheet of the H100 SXM: 900 GB/s in both directions together"
PCIE_4 = "PCI Express 4.0, 16 lanes of 16 GT/s: 32 GB/s in each direction"
CLUSTERS = (
    Cluster("8 GPUs, NVLink", 1, 8, 450, True, source=NVLINK_4),
    Cluster("8 GPUs, PCIe 4.0", 1, 8, 32, False, source=PCIE_4),
    Cluster("4 x 8 GPUs, NVLink, 8 x 400 Gb/s", 4, 8, 450, True, 8 * 50, "DGX H100: eight ports of 400 Gb/s a node"),
    Cluster("4 x 8 GPUs, PCIe 4.0, 100 Gb/s", 4, 8, 32, False, 12.5, "one port of 100 Gb/s a node"),
    Cluster("4 x 8 GPUs, PCIe 4.0, 10 Gb/s", 4, 8, 32, False, 1.25, "one port of 10 Gb/s a node"),
)


@dataclass(frozen=True)
class Message:
    """`halves` is 2 for an all-reduce, and 1 for an all-gather, which is half of one."""

    size: int  # bytes that each rank gives
    halves: int = 2


def seconds(messages: Sequence[Message], cluster: Cluster) -> float:
    """That all messages of a step take, one after the other."""
    return sum(_seconds(message, cluster) for message in messages)


def _seconds(message: Message, cluster: Cluster) -> float:
    across = cluster.nodes - 1
    inside = cluster.size - 1 - across
    found = []
    for protocol in PROTOCOLS:
        hop = protocol.nvlink if cluster.nvlink else protocol.pcie
        latency = CALL + protocol.base + message.halves * (inside * hop + across * protocol.network)
        travels = (cluster.size - 1) * message.size * (2 / cluster.size if message.halves == 2 else 1)
        found.append(latency * 1e-6 + travels / (protocol.share * cluster.bandwidth))
    return min(found)


def efficiency(step: float, messages: Sequence[Message], cluster: Cluster) -> float:
    """Of n GPUs with the batch of one each: n GPUs are so much of n times as fast. `step` is one GPU's, in seconds."""
    return step / (step + seconds(messages, cluster))
