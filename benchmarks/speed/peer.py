"""A plain PyTorch GAN loop as widely copied collections have it, after a description of PyTorch-GAN's gan.py.

DataLoader over PIL images with transforms, BCELoss on a sigmoid, Adam without fusing, one forward of G, G's step before
D's, two `.item()` and a print each iteration, a 5x5 grid every 400.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.utils import save_image

LATENT_DIM = 100
WIDTHS = (128, 256, 512, 1024)
IMAGE_SHAPE = (1, 28, 28)


class PILImages(Dataset[torch.Tensor]):
    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [transforms.Resize(28), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        image: torch.Tensor = self.transform(Image.fromarray(self.images[index]))
        return image


def make_generator() -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(LATENT_DIM, WIDTHS[0]), nn.LeakyReLU(0.2, inplace=True)]
    for inputs, outputs in pairwise(WIDTHS):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, 0.8), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 784), nn.Tanh(), nn.Unflatten(1, IMAGE_SHAPE))


def make_discriminator() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(512, 256),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(256, 1),
        nn.Sigmoid(),
    )


def iterations(images: np.ndarray, batch_size: int, folder: Path) -> Iterator[None]:
    """Endless: one iteration of the loop each time it is asked. `images` uint8 [N, 28, 28]."""
    generator, discriminator, loss = make_generator(), make_discriminator(), nn.BCELoss()
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(PILImages(images), batch_size=batch_size, shuffle=True)
    count = 0
    with (folder / "peer.txt").open("w") as out:
        while True:
            for real_images in loader:
                valid, fake = torch.ones(len(real_images), 1), torch.zeros(len(real_images), 1)
                generator_optimizer.zero_grad()
                latents = torch.tensor(np.random.normal(0, 1, (len(real_images), LATENT_DIM)), dtype=torch.float32)
                fake_images = generator(latents)
                generator_loss = loss(discriminator(fake_images), valid)
                generator_loss.backward()
                generator_optimizer.step()
                discriminator_optimizer.zero_grad()
                real_loss = loss(discriminator(real_images), valid)
                fake_loss = loss(discriminator(fake_images.detach()), fake)
                discriminator_loss = (real_loss + fake_loss) / 2
                discriminator_loss.backward()
                discriminator_optimizer.step()
                print(f"[D loss: {discriminator_loss.item()}] [G loss: {generator_loss.item()}]", file=out)
                if count % 400 == 0:
                    save_image(fake_images.data[:25], folder / f"{count}.png", nrow=5, normalize=True)
                count += 1
                yield
