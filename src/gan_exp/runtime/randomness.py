"""Everything random follows from (seed, step, stream), so that a resumed run equals one never stopped.

The idea is EDM2's (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"): no random
state needs to be saved, because the state at any step can be made again.
"""

import hashlib

import torch

from gan_exp.runtime.transfer import send


class Streams:
    """Random numbers named by step and purpose, for one device."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.seed = seed
        self.device = torch.device(device)
        self._own = torch.Generator()  # drawn from at once and handed to nobody: a new one takes ten microseconds

    def at(self, step: int, stream: str) -> torch.Generator:
        """A new generator on the device, whose numbers depend on (seed, step, stream) and nothing else."""
        return torch.Generator(self.device).manual_seed(self._seed(step, stream))

    def latents(self, step: int, stream: str, count: int, latent_dim: int) -> torch.Tensor:
        """Standard normal latents [count, latent_dim] on the device, drawn on the CPU: the same on every device."""
        random = self._own.manual_seed(self._seed(step, stream))
        return send(torch.randn(count, latent_dim, generator=random), self.device)

    def _seed(self, step: int, stream: str) -> int:
        digest = hashlib.blake2b(f"{self.seed}/{step}/{stream}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1
