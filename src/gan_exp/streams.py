"""Everything random follows from (seed, step, stream), so that a resumed run equals one never stopped.

The idea is EDM2's (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"): no random
state needs to be saved, because the state at any step can be made again.
"""

import hashlib

import torch


class Streams:
    """Random numbers named by step and purpose, drawn on one device.

    `at` reuses one generator: finish drawing from a stream before asking for the next.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.seed = seed
        self.device = torch.device(device)
        self._generator = torch.Generator(self.device)

    def at(self, step: int, stream: str) -> torch.Generator:
        """A generator whose numbers depend on (seed, step, stream) and nothing else."""
        digest = hashlib.blake2b(f"{self.seed}/{step}/{stream}".encode(), digest_size=8).digest()
        return self._generator.manual_seed(int.from_bytes(digest, "little") >> 1)

    def latents(self, step: int, stream: str, count: int, latent_dim: int) -> torch.Tensor:
        """Standard normal latents [count, latent_dim]."""
        return torch.randn(count, latent_dim, generator=self.at(step, stream), device=self.device)
