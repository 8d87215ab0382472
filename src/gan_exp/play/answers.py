"""Answers to what the page asks: images, latents and nearest training images."""

import base64
from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from gan_exp.data.packed import to_uint8
from gan_exp.display.images import encode_png
from gan_exp.errors import UserError
from gan_exp.generators.class_mixing import ClassMixer
from gan_exp.generators.paths import slerp
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.models.sampling import generate
from gan_exp.play.neighbours import Neighbour
from gan_exp.play.questions import LatentDescription, Question


class Answers:
    """Needs no state between questions. One at a time goes through the network: more would only wait for the cores.

    `directions` [K, latent_dim] are unit vectors. `load_neighbours` loads the data set, which takes a while, at the
    first question for a neighbour; it gives the function from an image uint8 [C, H, W] to its neighbour, or raises
    UserError if the data can't be loaded.
    """

    def __init__(
        self,
        generator: TrainedGenerator,
        directions: Tensor,
        load_neighbours: Callable[[], Callable[[Tensor], Neighbour]],
    ) -> None:
        self._generator, self._directions = generator, directions
        self._load_neighbours = load_neighbours
        self._find_neighbour: Callable[[Tensor], Neighbour] | None = None
        self._lock, self._loading = Lock(), Lock()
        classes = len(generator.class_names)
        self._mixer = ClassMixer(generator.network, classes, generator.latent_dim) if generator.conditional else None

    def image(self, question: Question) -> bytes:
        """The bytes of a PNG file."""
        return encode_png(self._image(question))

    def latent(self, question: Question) -> dict[str, Any]:
        """Its numbers and its class: between two classes the nearer one."""
        nearer = question.start if question.end is None or question.at < 0.5 else question.end
        return {"latent": self._resolve(question).tolist(), "label": nearer.label}

    def nearest(self, question: Question) -> dict[str, Any]:
        """The nearest training image as a data URL and a sentence on its distance, or None and the reason."""
        try:
            with self._loading:
                if self._find_neighbour is None:
                    self._find_neighbour = self._load_neighbours()
        except UserError as error:
            return {"image": None, "sentence": str(error)}
        found = self._find_neighbour(self._image(question))
        png = base64.b64encode(encode_png(found.image)).decode()
        return {"image": f"data:image/png;base64,{png}", "sentence": found.sentence}

    def _image(self, question: Question) -> Tensor:
        """uint8 [C, H, W]. It goes through the network alone, which is sooner done than `images`, 32 at a time."""
        latents = self._resolve(question)[None].to(self._generator.device)
        with self._lock, torch.no_grad():
            image = self._of_class(latents, question)[0]
        return to_uint8(image.cpu().clamp(-1, 1))

    def _of_class(self, latents: Tensor, question: Question) -> Tensor:
        """Floats [1, C, H, W]."""
        start = question.start.label
        if self._mixer is None or start is None:
            return generate(self._generator.network, latents, None)
        end = start if question.end is None or question.end.label is None else question.end.label
        return self._mixer.images(latents, torch.tensor([start]), torch.tensor([end]), torch.tensor([question.at]))

    def _resolve(self, question: Question) -> Tensor:
        """The latent [latent_dim]."""
        start = self._latent(question.start, "start")
        if question.end is None:
            return start
        return slerp(start, self._latent(question.end, "end"), torch.tensor(question.at))

    def _latent(self, description: LatentDescription, name: str) -> Tensor:
        self._check(description, name)
        if description.seed is not None:
            latent = self._generator.latents(description.seed, [0])[0]
        else:
            latent = torch.tensor(description.latent)
        if description.truncation is not None:
            latent = self._generator.truncate(latent, description.truncation)
        shifts = torch.tensor(description.shifts)
        return latent + shifts @ self._directions[: len(shifts)]

    def _check(self, description: LatentDescription, name: str) -> None:
        """What only the generator knows. Raises UserError."""
        size, classes = self._generator.latent_dim, len(self._generator.class_names)
        if description.latent is not None and len(description.latent) != size:
            raise UserError(f"{name}.latent: has {len(description.latent)} numbers, and the generator takes {size}")
        if len(description.shifts) > len(self._directions):
            raise UserError(f"{name}.shifts: there are {len(self._directions)} directions")
        if classes == 0 and description.label is not None:
            raise UserError(f"{name}.label: the generator is not conditional")
        if classes > 0 and not (description.label is not None and description.label < classes):
            raise UserError(f"{name}.label: must be the number of one of the {classes} classes, from 0")
