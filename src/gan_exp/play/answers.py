"""Answers to what the page asks: images, latents and nearest training images."""

import base64
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from gan_exp.data.packed import to_uint8
from gan_exp.display.images import encode_png
from gan_exp.errors import UserError
from gan_exp.generators.class_mixing import ClassMixer
from gan_exp.generators.directions import principal_directions
from gan_exp.generators.paths import slerp
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.models.sampling import generate
from gan_exp.play.files import read_latent
from gan_exp.play.neighbours import Neighbour
from gan_exp.play.questions import File, LatentDescription, Question
from gan_exp.play.turns import Turns
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.words import plural, there_are

FEW = 8  # images that the page's own may have to wait for


class Answers:
    """Needs no state between questions. One thread at a time uses the network: more would wait for the cores anyway.

    `load_neighbours` loads the data set, which takes a while, at the first question for a neighbour; it gives the
    function from an image uint8 [C, H, W] to its neighbour, or raises UserError if the data can't be loaded.
    """

    def __init__(
        self, generator: TrainedGenerator, load_neighbours: Callable[[], Callable[[Tensor], Neighbour]]
    ) -> None:
        self._generator = generator
        self._directions: Future[Tensor] = Future()  # [K, latent_dim], unit vectors
        self._load_neighbours = load_neighbours
        self._find_neighbour: Callable[[Tensor], Neighbour] | None = None
        self._turns, self._loading = Turns(), Lock()
        classes = len(generator.class_names)
        self._mixer = ClassMixer(generator.network, classes, generator.latent_dim) if generator.conditional else None

    def find_directions(self, count: int) -> None:
        """For a thread of its own: with a large network it takes minutes, in which images are made all the same."""
        try:
            self._directions.set_result(principal_directions(self._generator, count, images=self._in_turns)[0])
        except BaseException as error:
            self._directions.set_exception(error)

    def directions(self) -> dict[str, Any]:
        """Their number, once they are found."""
        return {"count": len(self._directions.result())}

    def image(self, question: Question) -> bytes:
        """The bytes of a PNG file."""
        return encode_png(self._image(question))

    def latent(self, question: Question) -> dict[str, Any]:
        """Its numbers and its class: between two classes the nearer one."""
        nearer = question.start if question.end is None or question.at < 0.5 else question.end
        return {"latent": self._resolve(question).tolist(), "label": nearer.label}

    def open(self, file: File) -> dict[str, Any]:
        """The latent in a file, and its class; None and the reason if there is none."""
        size, classes = self._generator.latent_dim, len(self._generator.class_names)
        found = read_latent(file.content, size, classes)
        return found or {"latent": None, "sentence": f"holds no latent of {size} numbers"}

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
        with self._turns.take(hurry=True), torch.no_grad():
            image = self._of_class(latents, question)[0]
        return to_uint8(image.cpu().clamp(-1, 1))

    def _in_turns(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Images a few at a time, between which those that the page asks for are made."""
        parts = []
        for places in torch.arange(len(latents)).split(FEW):
            stop_if_asked()
            with self._turns.take(hurry=False), torch.no_grad():
                some = None if labels is None else labels[places].to(self._generator.device)
                parts.append(generate(self._generator.network, latents[places].to(self._generator.device), some).cpu())
        return torch.cat(parts)

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
        if description.shifts:
            shifts = torch.tensor(description.shifts)
            latent = latent + shifts @ self._directions.result()[: len(shifts)]
        return latent

    def _check(self, description: LatentDescription, name: str) -> None:
        """What only the generator knows. Raises UserError."""
        size, classes = self._generator.latent_dim, len(self._generator.class_names)
        if description.latent is not None and len(description.latent) != size:
            raise UserError(
                f"{name}.latent: has {plural(len(description.latent), 'number')}, and the generator takes {size}"
            )
        if description.shifts and len(description.shifts) > (count := len(self._directions.result())):
            raise UserError(f"{name}.shifts: {there_are(count, 'direction')}")
        if classes == 0 and description.label is not None:
            raise UserError(f"{name}.label: the generator is not conditional")
        if classes > 0 and not (description.label is not None and description.label < classes):
            raise UserError(f"{name}.label: must be the number of one of the {classes} classes, from 0")
