"""Plain PyTorch GAN loops like those of widely copied collections: PyTorch-GAN's gan.py and dcgan.py, by description.

DataLoader over PIL images with transforms, BCELoss on a sigmoid, Adam without fusing, one forward of G, G's step before
D's, two `.item()` and a print each iteration, a 5x5 grid every 400.
"""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.utils import save_image

from benchmarks.speed.data import load_images
from benchmarks.speed.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from benchmarks.speed.worker import Serve

LATENT_DIM = 100
NETWORKS = {"gan.py": (MLPGenerator, MLPDiscriminator), "dcgan.py": (DCGANGenerator, DCGANDiscriminator)}


class PILImages(Dataset[tuple[Tensor, int]]):
    """Images one at a time, through PIL, as torchvision's MNIST returns them."""

    def __init__(self, images: Tensor, size: int) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index].numpy())), 0


def peer_loop(serve: Serve, threads: int, script: str, batch_size: int, size: int, root: str | None) -> None:
    torch.set_num_threads(threads)
    generator_class, discriminator_class = NETWORKS[script]
    shape = (1, size, size)
    generator, discriminator = generator_class(LATENT_DIM, shape), discriminator_class(shape)
    dataset = PILImages(torch.from_numpy(load_images(root=root)), size)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    loop = iterations(generator, nn.Sequential(discriminator, nn.Sigmoid()), loader)

    def run(count: int) -> None:
        for _ in range(count):
            next(loop)

    serve(run)


def iterations(
    generator: nn.Module, discriminator: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]]
) -> Iterator[None]:
    """An endless loop that makes one iteration for each `next`."""
    loss = nn.BCELoss()
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    count = epoch = 0
    while True:
        for batch, (real_images, _) in enumerate(loader):
            size = len(real_images)
            valid, fake = torch.ones(size), torch.zeros(size)

            generator_optimizer.zero_grad()
            latents = torch.tensor(np.random.normal(0, 1, (size, LATENT_DIM)), dtype=torch.float32)
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

            print(
                f"[Epoch {epoch}/200] [Batch {batch}/{len(loader)}] "
                f"[D loss: {discriminator_loss.item():f}] [G loss: {generator_loss.item():f}]"
            )
            if count % 400 == 0:
                save_image(fake_images.data[:25], f"{count}.png", nrow=5, normalize=True)
            count += 1
            yield
        epoch += 1
