"""A trained generator that is ready to be called, whichever way it was loaded."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_exp.config.schema import Config
from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.evaluation.sampling import sample_latents
from gan_exp.generators.classes import find_class
from gan_exp.generators.loading import load_content, load_weights
from gan_exp.models.sampling import generate
from gan_exp.runs.checkpoint import class_names, data_spec
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.training.build import build_generator

# Latents that go through the network at once, always as many: with few rows a CPU sums in another order.
ROWS = 32


@dataclass(frozen=True, eq=False)
class TrainedGenerator:
    """A generator in eval mode, without gradients, and what is needed to call it."""

    network: nn.Module
    config: Config
    spec: DataSpec  # of the training data: image_shape, num_classes, extent
    class_names: tuple[str, ...]  # of the classes it can be asked for; empty if it is not conditional
    step: int  # of the checkpoint
    data_digest: str | None = None  # of the training data, where it is known

    @classmethod
    def from_run(
        cls,
        run_dir: RunDir,
        checkpoint: str | None = None,
        average: bool = True,
        device: torch.device | str = "cpu",
    ) -> "TrainedGenerator":
        """The generator of a run's newest checkpoint, or of the one named: `best`, a step, a file.

        It is the averaged one if the run keeps an average; without `average` the one in training. No data set is
        needed. Raises UserError if there is no such checkpoint or average.
        """
        config, content = load_content(run_dir, checkpoint)
        if not average and "generator_ema" not in content:
            raise UserError(
                f"--no-average: {run_dir.path} keeps no averaged generator (ema_halflife_kimg=0), so it is the one in "
                "training that is used in any case"
            )
        spec = data_spec(content)
        network = build_generator(config, spec)
        weights = content.get("generator_ema", content["generator"]) if average else content["generator"]
        load_weights(network, weights, run_dir, checkpoint)
        names = class_names(content) if config.conditional else ()
        return cls(network.to(device), config, spec, names, content["step"], content.get("data_digest"))

    @property
    def conditional(self) -> bool:
        return self.config.conditional

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def latents(self, seed: int, indices: Iterable[int]) -> Tensor:
        """Standard normal latents [N, latent_dim] on the CPU, each a function of (seed, index) alone."""
        return sample_latents(seed, indices, self.latent_dim)

    def labels(self, indices: Iterable[int], only: str | int | None = None) -> Tensor | None:
        """Labels [N] for the samples with these `indices`: the classes alternate, or are all `only`, a name or number.

        None if the generator is not conditional. Raises UserError if there is no such class.
        """
        if not self.conditional:
            if only is not None:
                raise UserError(f"--class {only}: the run is not conditional; train one with conditional=true")
            return None
        numbers = torch.tensor(list(indices), dtype=torch.long)
        if only is None:
            return numbers % self.spec.num_classes
        return torch.full_like(numbers, find_class(only, self.class_names))

    @torch.no_grad()
    def images(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """float32 [N, C, H, W] on the CPU, in [-1, 1]; of points [N, 2, 1, 1] as they are.

        On a CPU each image is a function of its latent and label, to the last bit, however many go with it: the chunks
        have a fixed size, and the last one is padded. (On a GPU its libraries may still choose another algorithm.)
        """
        count = len(latents)
        if self.conditional and labels is None:
            raise ValueError("a conditional generator is called with labels")
        missing = -count % ROWS
        latents = torch.cat([latents, latents.new_zeros(missing, self.latent_dim)])
        labels = None if labels is None else torch.cat([labels, labels.new_zeros(missing)])
        parts = []
        for k in range(0, len(latents), ROWS):
            stop_if_asked()
            some = None if labels is None else labels[k : k + ROWS].to(self.device)
            parts.append(generate(self.network, latents[k : k + ROWS].to(self.device), some).cpu())
        images = torch.cat(parts)[:count] if parts else torch.empty(0, *self.spec.image_shape)
        return images if self.spec.extent is not None else images.clamp_(-1, 1)

    @staticmethod
    def truncate(latents: Tensor, t: float) -> Tensor:
        """Standard normal `latents` moved into [-t, t], so that they follow the normal distribution truncated there.

        The truncation trick of Brock et al. 2018 ("Large Scale GAN Training for High Fidelity Natural Image
        Synthesis"), with the same distribution. They draw values beyond t anew; here each value z becomes the one with
        the same rank, Phi^-1(Phi(-t) + Phi(z) (Phi(t) - Phi(-t))). So the same latents move continuously with t.
        """
        if not t > 0:
            raise ValueError(f"a truncation of {t:g}: must be above 0")
        wide = latents.double()
        below = math.erfc(t / math.sqrt(2)) / 2
        # In the lower half, by symmetry: above 0 the ranks approach 1, where numbers are coarse. (So is torch's ndtr.)
        ranks = below + torch.erfc(wide.abs() / math.sqrt(2)) / 2 * (1 - 2 * below)
        moved: Tensor = torch.special.ndtri(ranks).clamp(-t, 0) * -wide.sign()
        return moved.to(latents.dtype)
