"""FastGAN's and lightweight-gan's networks for 64x64 images, written plainly after their paper and descriptions.

FastGAN: Liu et al. 2021, with the widths of its tables up to 64x64. lightweight-gan: an implementation of the same
paper with other widths, one convolution per size, a second D of 32x32 images, and no excitation below 128x128.
What costs time in their own programs but isn't their networks is left out, in their favour: augmentation, gradient
penalty, perceptual loss, attention, spectral normalisation, noise.
"""

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss, leaky_relu, mse_loss, relu

SIDE, CHANNELS = 64, 4
LATENT_DIM = 256
LEARNING_RATE = 2e-4


class Up(nn.Module):
    """Doubled, then gated convolutions."""

    def __init__(self, inputs: int, outputs: int, convolutions: int = 1, batch_norm: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number in range(convolutions):
            layers.append(nn.Conv2d(outputs if number else inputs, 2 * outputs, 3, padding=1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(2 * outputs), nn.GLU(1)] if batch_norm else [nn.GLU(1)]
        self.layers = nn.Sequential(nn.Upsample(scale_factor=2), *layers)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)  # type: ignore[no-any-return]


class Down(nn.Module):
    """The mean of two branches: a strided and a plain convolution, and a pooled one with a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, batch_norm: bool, leak: float) -> None:
        super().__init__()

        def act(convolution: nn.Conv2d) -> list[nn.Module]:
            return [convolution, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.LeakyReLU(leak)]

        strided = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not batch_norm)
        plain = nn.Conv2d(outputs, outputs, 3, padding=1, bias=not batch_norm)
        self.main = nn.Sequential(*act(strided), *act(plain))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *act(nn.Conv2d(inputs, outputs, 1, bias=not batch_norm)))

    def forward(self, features: Tensor) -> Tensor:
        return (self.main(features) + self.direct(features)) / 2  # type: ignore[no-any-return]


def start(width: int) -> nn.Module:
    convolution = nn.ConvTranspose2d(LATENT_DIM, 2 * width, 4, bias=False)
    return nn.Sequential(nn.Unflatten(1, (-1, 1, 1)), convolution, nn.BatchNorm2d(2 * width), nn.GLU(1))


class FastGANGenerator(nn.Module):
    """1024 channels at 4x4, 512, 256, 128 and 128 at 64x64, where the 4x4 features gate them."""

    def __init__(self, share: float) -> None:
        super().__init__()
        widths = [int(share * width) for width in (1024, 512, 256, 128, 128)]
        self.start = start(widths[0])
        self.ups = nn.ModuleList(Up(widths[k], widths[k + 1], 2 - k % 2) for k in range(4))
        self.gate = nn.Sequential(
            nn.Conv2d(widths[0], widths[4], 4, bias=False), nn.SiLU(), nn.Conv2d(widths[4], widths[4], 1), nn.Sigmoid()
        )
        self.to_image = nn.Conv2d(widths[4], CHANNELS, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        coarse = features = self.start(latents)
        for up in self.ups:
            features = up(features)
        return torch.tanh(self.to_image(features * self.gate(coarse)))


class FastGANDiscriminator(nn.Module):
    """64 channels at 64x64, 128, 256 and 512 at 8x8; decoders of the whole to 128x128, and of a quarter."""

    def __init__(self, share: float) -> None:
        super().__init__()
        widths = [int(share * width) for width in (64, 128, 256, 512)]
        self.from_image = nn.Conv2d(CHANNELS, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(Down(widths[k], widths[k + 1], True, 0.2) for k in range(3))
        last = nn.Conv2d(widths[3], widths[3], 1, bias=False)
        self.logits = nn.Sequential(last, nn.BatchNorm2d(widths[3]), nn.LeakyReLU(0.2), nn.Conv2d(widths[3], 1, 4))
        decoded = [int(share * width) for width in (128, 64, 64, 32)]
        self.whole, self.part = (
            nn.Sequential(
                *(Up(a, b) for a, b in zip([inputs, *decoded], decoded, strict=False)),
                nn.Conv2d(decoded[3], CHANNELS, 3, padding=1),
                nn.Tanh(),
            )
            for inputs in (widths[3], widths[2])
        )

    def forward(self, images: Tensor, reconstruct: bool = False) -> tuple[Tensor, Tensor]:
        features = [leaky_relu(self.from_image(images), 0.2)]
        for down in self.downs:
            features.append(down(features[-1]))
        logits = self.logits(features[-1])
        if not reconstruct:
            return logits, torch.zeros(())
        half, quarter = features[-2].shape[2] // 2, images[:, :, : SIDE // 2, : SIDE // 2]
        whole, part = self.whole(features[-1]), self.part(features[-2][:, :, :half, :half])
        return logits, l1_loss(whole, interpolate(images, whole.shape[2:])) + l1_loss(
            part, interpolate(quarter, part.shape[2:])
        )


class LightweightGenerator(nn.Module):
    """256 channels at 4x4, 512, 512, 256 and 128 at 64x64."""

    def __init__(self, share: float) -> None:
        super().__init__()
        widths = [int(share * width) for width in (256, 512, 512, 256, 128)]
        ups = (Up(widths[k], widths[k + 1]) for k in range(4))
        self.layers = nn.Sequential(start(widths[0]), *ups, nn.Conv2d(widths[4], CHANNELS, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)  # type: ignore[no-any-return]


class LightweightDiscriminator(nn.Module):
    """128 channels at 32x32, 256 and 512 at 8x8, a decoder from there to 128x128, and a D of 32x32 images."""

    def __init__(self, share: float) -> None:
        super().__init__()
        widths = [CHANNELS, *(int(share * width) for width in (128, 256, 512))]
        self.downs = nn.Sequential(*(Down(widths[k], widths[k + 1], False, 0.1) for k in range(3)))
        top = widths[3]
        self.logits = nn.Sequential(nn.Conv2d(top, top, 1), nn.LeakyReLU(0.1), nn.Conv2d(top, 1, 4))
        first, second = int(share * 64), int(share * 32)
        self.small = nn.Sequential(
            nn.Conv2d(CHANNELS, first, 3, padding=1),
            Down(first, second, False, 0.1),
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(second, 1, 4),
        )
        decoded = [top, top // 2, top // 4, top // 8, CHANNELS]
        self.decoder = nn.Sequential(*(Up(decoded[k], decoded[k + 1], batch_norm=False) for k in range(4)))

    def forward(self, images: Tensor, reconstruct: bool = False) -> tuple[Tensor, Tensor]:
        features = self.downs(images)
        logits = torch.cat([self.logits(features).flatten(1), self.small(interpolate(images, (32, 32))).flatten(1)], 1)
        if not reconstruct:
            return logits, torch.zeros(())
        decoded = self.decoder(features)
        return logits, mse_loss(decoded, interpolate(images, decoded.shape[2:]))


PEERS: dict[str, tuple[Callable[[float], nn.Module], Callable[[float], nn.Module]]] = {
    "FastGAN": (FastGANGenerator, FastGANDiscriminator),
    "lightweight-gan": (LightweightGenerator, LightweightDiscriminator),
}


def steps(name: str, share: float, batch: int, bf16: bool) -> Iterator[None]:
    """Training steps without end: D's update on new fakes, G's on new ones again, Adam, the average of G."""
    torch.manual_seed(0)
    generator, average, discriminator = PEERS[name][0](share), PEERS[name][0](share), PEERS[name][1](share)
    optimizers = [torch.optim.Adam(net.parameters(), LEARNING_RATE, (0.5, 0.999)) for net in (discriminator, generator)]
    images = torch.rand(batch, CHANNELS, SIDE, SIDE) * 2 - 1

    def computing() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    while True:
        with computing():
            with torch.no_grad():
                fakes = generator(torch.randn(batch, LATENT_DIM))
            real, error = discriminator(images, reconstruct=True)
            loss = relu(1 - real).mean() + relu(1 + discriminator(fakes)[0]).mean() + error
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        discriminator.requires_grad_(False)
        with computing():
            loss = -discriminator(generator(torch.randn(batch, LATENT_DIM)))[0].mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        discriminator.requires_grad_(True)
        with torch.no_grad():
            for kept, now in zip(average.parameters(), generator.parameters(), strict=True):
                kept.lerp_(now, 0.001)
        yield


def parameters(name: str, share: float) -> int:
    networks = [build(share) for build in PEERS[name]]
    return sum(value.numel() for value in chain.from_iterable(net.parameters() for net in networks))
