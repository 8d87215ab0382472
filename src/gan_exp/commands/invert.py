"""`gan-exp invert RUN IMAGE`: the latent from which a generator reproduces an image best."""

import io
import math
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.commands.exploring import add_generator, load_generator, refuse_points, write_picture
from gan_exp.commands.outputs import add_output, find_output, refuse_existing, write_output
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from gan_exp.generators.inversion import Inversion
    from gan_exp.generators.trained import TrainedGenerator

STEPS, STARTS = 300, 16
TILE = 160  # pixels of each picture, about


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    output = find_output(options, (".png",))
    latents = output.with_suffix(".npz")
    refuse_existing(latents, options.force)
    path = expand_user(options.image, "IMAGE")
    if not path.is_file():
        raise UserError(f"{path}: no such image")
    generator = load_generator(options)
    refuse_points(generator, "invert")
    target = read_image(path, generator)
    found = _invert(generator, target, options)
    write_picture(_picture(target, found), output, options)
    write_output(latents, _arrays(found), options.force)
    say(_describe(found, generator))
    say(f"image, reconstruction and difference in {output}, the latent in {latents}")
    return 0


def _parser() -> Parser:
    parser = Parser("invert", "Find the latent from which a run's generator reproduces an image best.")
    add_generator(parser, truncation=False)
    parser.add_argument("image", metavar="IMAGE", help=(
        "an image file; it is cropped, resized and converted as the training data was"
    ))  # fmt: skip
    parser.add_argument("--class", dest="label", metavar="CLASS", help=(
        "the class of a conditional run (default: the one that fits best)"
    ))  # fmt: skip
    parser.add_argument("--steps", type=count_of(0), default=STEPS, metavar="N", help=(
        f"gradient steps (default {STEPS})"
    ))  # fmt: skip
    parser.add_argument("--starts", type=count_of(1), default=STARTS, metavar="N", help=(
        f"latents to start from, all at once (default {STARTS}); more find better ones"
    ))  # fmt: skip
    add_output(parser, "inverted.png", "a .png; the latent goes into a .npz beside it")
    return parser


def read_image(path: Path, generator: "TrainedGenerator") -> "Tensor":
    """uint8 [C, H, W] of the generator's shape; says how the image was changed for that.

    As the training data was: by `dataset.fit`, `dataset.range` and `dataset.background`, where these are settings.
    """
    import torch

    from gan_exp.data.brightness import BYTES, choose_scale, scale_from_limits
    from gan_exp.data.decode import TargetFormat, decode, read_extrema, read_header
    from gan_exp.data.image_file import BrokenImage

    dataset, (channels, height, width) = generator.config.dataset, generator.spec.image_shape
    if channels not in (1, 3, 4):
        raise UserError(f"invert: the run's images have {channels} channels, and files of images have 1, 3 or 4")
    most, limits, fit = dataset.get("max_megapixels", 64.0), dataset.get("range"), dataset.get("fit", "crop")
    try:
        header = read_header(path, most)
        scale = BYTES
        if limits is not None:
            scale = scale_from_limits(limits)
        elif header.kind != "bytes":
            scale = choose_scale(header.kind, *read_extrema(path, most))
        red, green, blue = dataset.get("background", (0, 0, 0))
        target = TargetFormat(height, width, fit, channels, {header.kind: scale}, (red, green, blue))
        pixels = decode(path, target, most)
    except BrokenImage as error:
        raise UserError(f"{path}: {error}") from error
    given = header.height, header.width, header.channels
    if given != (height, width, channels):
        cut = f" ({fit} where the sides differ)" if header.height * width != header.width * height else ""
        say(f"{path}: {'x'.join(map(str, given))} becomes {height}x{width}x{channels}{cut}")
    return torch.from_numpy(pixels.copy())


def _invert(generator: "TrainedGenerator", target: "Tensor", options: Namespace) -> "Inversion":
    from gan_exp.data.packed import normalise
    from gan_exp.display.progress import WorkProgress
    from gan_exp.generators.inversion import invert

    classes = None
    if generator.conditional:
        classes = list(range(generator.spec.num_classes))
    if options.label is not None:
        label = generator.labels([0], options.label)
        assert label is not None
        classes = label.tolist()
    with WorkProgress(options.steps, "steps") as progress:
        return invert(
            generator.network, normalise(target), generator.latent_dim, classes,
            steps=options.steps, starts=options.starts, seed=options.seed,
            progress=lambda step, error: progress.advance(1) if step else None,
        )  # fmt: skip


def _picture(target: "Tensor", found: "Inversion") -> "Image.Image":
    """The image, its reconstruction, and how far they are apart, from black to white."""
    import torch

    from gan_exp.data.packed import normalise, to_uint8
    from gan_exp.display.animations import captioned, side_by_side
    from gan_exp.display.images import filled_grid, to_pil

    difference = (found.image.clamp(-1, 1) - normalise(target)).abs() - 1
    if len(target) == 4:
        difference[3] = 1.0  # opaque
    images = {"image": target, "reconstruction": to_uint8(found.image), "difference": to_uint8(difference)}
    tiles = [captioned(to_pil(filled_grid(torch.stack([one]), tile=TILE)), name) for name, one in images.items()]
    return side_by_side(tiles)


def _arrays(found: "Inversion") -> bytes:
    """latent [latent_dim], label of a conditional run, error."""
    import numpy as np

    label = {} if found.label is None else {"label": np.asarray(found.label)}
    buffer = io.BytesIO()
    np.savez(buffer, latent=found.latent.numpy(), error=np.asarray(found.error), **label)  # type: ignore[arg-type]
    return buffer.getvalue()


def _describe(found: "Inversion", generator: "TrainedGenerator") -> str:
    name = "" if found.label is None else f", class {generator.class_names[found.label]}"
    decibels = 10 * math.log10(4 / max(found.error, 1e-12))
    return (
        f"mean squared error {found.error:.3g} of pixels in [-1, 1] ({decibels:.1f} dB), of the best random latent "
        f"{found.first_error:.3g}{name}; the latent is {found.scale:.2f} times as long as a usual one"
    )
