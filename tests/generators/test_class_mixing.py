import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_exp.generators.class_mixing import ClassMixer
from gan_exp.models.dcgan import DCGANGenerator
from gan_exp.models.fastgan import FastGANGenerator
from gan_exp.models.mlp import MLPGenerator
from gan_exp.models.points import PointGenerator
from gan_exp.models.r3gan import R3GANGenerator
from gan_exp.models.resnet import ResNetGenerator

CLASSES = 3
MODELS = {
    "mlp": lambda: MLPGenerator(4, (1, 8, 8), widths=(8,), num_classes=CLASSES),
    "dcgan": lambda: DCGANGenerator(4, (1, 8, 8), width=4, num_classes=CLASSES),
    "resnet": lambda: ResNetGenerator(4, (1, 8, 8), width=4, num_classes=CLASSES),
    "r3gan": lambda: R3GANGenerator(4, (1, 8, 8), 4, 8, blocks=1, group_size=4, num_classes=CLASSES),
    "fastgan": lambda: FastGANGenerator(4, (1, 8, 8), width=4, num_classes=CLASSES),
    "points": lambda: PointGenerator(4, (2, 1, 1), widths=(8,), num_classes=CLASSES),
}
LATENTS = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
START, END = torch.zeros(5, dtype=torch.long), torch.full((5,), 2)
WEIGHT = torch.linspace(0, 1, 5)


@torch.no_grad()
@pytest.mark.parametrize("model", MODELS)
def test_every_model_goes_from_one_class_to_the_other(model: str) -> None:
    torch.manual_seed(0)
    network = MODELS[model]().eval().requires_grad_(False)
    mixer = ClassMixer(network, CLASSES, 4)
    assert mixer.can_mix
    made = mixer.images(LATENTS, START, END, WEIGHT, chunk=2)
    torch.testing.assert_close(made[0], network(LATENTS, START)[0])
    torch.testing.assert_close(made[4], network(LATENTS, END)[4])
    between = mixer.images(LATENTS[:1].expand(5, -1), START, END, WEIGHT)
    assert (between.diff(dim=0).flatten(1).norm(dim=1) > 0).all()
    torch.testing.assert_close(network(LATENTS, START), mixer.images(LATENTS, START, END, torch.zeros(5)))


class OneHot(nn.Module):
    """Sees its labels past any table, or beside one."""

    def __init__(self, table: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(CLASSES, 4) if table else None
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        features = self.scale * latents + one_hot(labels, 4)
        return (features if self.table is None else features + self.table(labels)).view(-1, 1, 2, 2)


@torch.no_grad()
@pytest.mark.parametrize("table", [False, True])
def test_a_network_that_sees_its_labels_otherwise_changes_class_halfway(table: bool) -> None:
    network = OneHot(table)
    mixer = ClassMixer(network, CLASSES, 4)
    assert not mixer.can_mix
    made = mixer.images(LATENTS, START, END, WEIGHT)
    torch.testing.assert_close(made, network(LATENTS, torch.tensor([0, 0, 2, 2, 2])))
