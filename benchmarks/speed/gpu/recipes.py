"""The article's step and SNGAN's on CIFAR-10 as gan-exp can't compute them yet: flat parameters, traced, bfloat16."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from benchmarks.speed.gpu.traced import Flat, Network

CHUNK = 64  # steps whose rows and latents are sent to the device at once


class Article:
    """Two updates of D, on reals and on the fakes of G in inference mode, then one of G."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, images: Tensor, batch: int) -> None:
        self.network, self.images, self.batch = generator, images, batch
        self.generator, self.discriminator = (Flat(n, 2e-4, (0.5, 0.999)) for n in (generator, discriminator))
        self.means = torch.zeros(3, device=images.device)

    def step_with(self, rows: Tensor, latents: Tensor) -> Tensor:
        """`rows` [N] of the images, `latents` [2, N, 100]."""
        reals = self.images[rows].float() / 127.5 - 1
        self.network.eval()
        with torch.no_grad():
            fakes = self.generator(self.generator.views(), latents[0])
        self.network.train()
        real_loss = self.discriminator.update(lambda score: softplus(-score(reals)).mean())
        fake_loss = self.discriminator.update(lambda score: softplus(score(fakes)).mean())
        views = self.discriminator.views()
        loss = self.generator.update(lambda generate: softplus(-self.discriminator(views, generate(latents[1]))).mean())
        return self.means.add_(torch.stack([real_loss, fake_loss, loss]))


class Chunks:
    """Rows and latents drawn on the CPU for `CHUNK` steps, sent at once; each step finds its own by a counter."""

    def __init__(self, article: Article, latent_dim: int = 100) -> None:
        self.article, self.done = article, 0
        device, batch = article.images.device, article.batch
        pinned = device.type == "cuda"
        self._rows = [torch.zeros(CHUNK, batch, dtype=torch.long, pin_memory=pinned) for _ in range(2)]
        self._latents = [torch.zeros(CHUNK, 2, batch, latent_dim, pin_memory=pinned) for _ in range(2)]
        self._there = (self._rows[0].to(device), self._latents[0].to(device))
        self._sent: list[torch.cuda.Event | None] = [None, None]
        self._counter = torch.zeros(1, dtype=torch.long, device=device)
        self._random = torch.Generator()

    def step(self) -> Tensor:
        rows, latents = (values.index_select(0, self._counter).squeeze(0) for values in self._there)
        self._counter.add_(1).remainder_(CHUNK)
        return self.article.step_with(rows, latents)

    def fill(self) -> None:
        """Each step's numbers follow from the step's seed, as in gan-exp."""
        side = self.done // CHUNK % 2
        rows, latents, sent = self._rows[side], self._latents[side], self._sent[side]
        if sent is not None:  # the GPU may be behind by more than a chunk
            sent.synchronize()
        for k in range(CHUNK):
            self._random.manual_seed(self.done + k)
            torch.randint(len(self.article.images), rows[k].shape, generator=self._random, out=rows[k])
            for part in latents[k]:
                torch.randn(part.shape, generator=self._random, out=part)
        for there, here in zip(self._there, (rows, latents), strict=True):
            there.copy_(here, non_blocking=True)
        if self._counter.is_cuda:
            self._sent[side] = event = torch.cuda.Event()
            event.record()
        self._counter.zero_()
        self.done += CHUNK


class SNGAN:
    """Hinge loss and spectral norm, several updates of D for one of G, both under autocast to `dtype`."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        images: Tensor,
        batch: int,
        n_critic: int = 5,
        dtype: torch.dtype = torch.bfloat16,
        latent_dim: int = 128,
    ) -> None:
        self.images, self.batch, self.n_critic = images, batch, n_critic
        self.dtype, self.latent_dim, self.device = dtype, latent_dim, images.device
        self.generator, self.discriminator = (
            Flat(network, 2e-4, (0.0, 0.9), channels_last=True) for network in (generator, discriminator)
        )
        self.means = torch.zeros(2, device=images.device)

    def step(self) -> None:
        for _ in range(self.n_critic):
            self.update_discriminator()
        self.update_generator()

    def update_discriminator(self) -> Tensor:
        rows = torch.randint(len(self.images), (self.batch,), device=self.device)
        reals = self.images[rows].float() / 127.5 - 1
        with torch.no_grad():
            views = self.generator.views()
            fakes = self._generated(lambda latents: self.generator(views, latents))
        return self.means[0].add_(self.discriminator.update(lambda score: self._hinge(score, reals, fakes)))

    def update_generator(self) -> Tensor:
        views = self.discriminator.views()

        def loss(generate: Network) -> Tensor:
            return -self._scored(lambda images: self.discriminator(views, images), self._generated(generate)).mean()

        return self.means[1].add_(self.generator.update(loss))

    def _cast(self) -> AbstractContextManager[object]:
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype)

    def _generated(self, generate: Network) -> Tensor:
        latents = torch.randn(self.batch, self.latent_dim, device=self.device)
        with self._cast():
            return generate(latents).float()

    def _scored(self, score: Network, images: Tensor) -> Tensor:
        with self._cast():
            return score(images.contiguous(memory_format=torch.channels_last)).float()

    def _hinge(self, score: Network, reals: Tensor, fakes: Tensor) -> Tensor:
        return (relu(1 - self._scored(score, reals)) + relu(1 + self._scored(score, fakes))).mean()
