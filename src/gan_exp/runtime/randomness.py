"""Random numbers as functions of (seed, step, stream), so that a resumed run equals one that was never stopped.

As in EDM2 (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"), no random state
needs to be saved, because the state at any step can be computed again.
"""

import hashlib

import torch

from gan_exp.runtime.transfer import send


class Streams:
    """Generators of random numbers for one device, by step and purpose."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.seed = seed
        self.device = torch.device(device)
        self._latents_rng = torch.Generator()  # reseeded and used at once: a new one takes ten microseconds

    def at(self, step: int, stream: str) -> torch.Generator:
        """A new generator on the device; its numbers depend on (seed, step, stream) and nothing else."""
        return torch.Generator(self.device).manual_seed(self._seed(step, stream))

    def latents(self, step: int, stream: str, count: int, latent_dim: int) -> torch.Tensor:
        """Standard normal latents [count, latent_dim] on the device, drawn on the CPU so that all devices agree."""
        rng = self._latents_rng.manual_seed(self._seed(step, stream))
        return send(torch.randn(count, latent_dim, generator=rng), self.device)

    def _seed(self, step: int, stream: str) -> int:
        digest = hashlib.blake2b(f"{self.seed}/{step}/{stream}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1
