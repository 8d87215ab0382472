"""What the commands that explore a trained generator share: which generator, which of its samples, which pictures."""

import io
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of, number_above
from gan_exp.commands.outputs import find_output, write_output
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from gan_exp.generators.trained import TrainedGenerator

T = TypeVar("T")
POINTS = 2500  # samples of which one plot of points consists
TILE = 64  # pixels of an image in a strip, about


def add_generator(parser: Parser, checkpoint: bool = True, truncation: bool = True) -> None:
    """RUN, which of its generators, and which latents."""
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--seed", type=count_of(0), default=0, metavar="S", help="seed of the latents (default 0)")
    if truncation:
        parser.add_argument("--truncation", type=number_above(0), metavar="T", help=(
            "move the latents into [-T, T], such as 0.7: images nearer to the typical ones, with less variety"
        ))  # fmt: skip
    parser.add_argument("--no-average", action="store_true", help="the generator in training, not its average")
    if checkpoint:
        parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_device()
    parser.add_trust()


def load_generator(options: Namespace, checkpoint: str | None = None) -> "TrainedGenerator":
    """The generator that the options name."""
    from gan_exp.config.targets import trust
    from gan_exp.generators.trained import TrainedGenerator
    from gan_exp.runtime.device import inference_device

    trust(options.trust)
    name = getattr(options, "checkpoint", checkpoint)
    device = inference_device(options.device)
    return TrainedGenerator.from_run(RunDir.open(options.run), name, not options.no_average, device)


def latents_of(generator: "TrainedGenerator", options: Namespace, indices: "list[int] | range") -> "Tensor":
    """The latents [N, latent_dim] of the samples with these numbers, truncated if asked for."""
    latents = generator.latents(options.seed, indices)
    return latents if options.truncation is None else generator.truncate(latents, options.truncation)


def refuse_points(generator: "TrainedGenerator", command: str) -> None:
    if generator.spec.extent is not None:
        raise UserError(f"{command}: the run makes points of the plane, and this command compares images")


def numbers(text: str) -> list[int]:
    """An argparse type: whole numbers with commas between."""
    parse = count_of(0)
    return [parse(part) for part in text.split(",")]


def plotted(
    generator: "TrainedGenerator", latents: "Tensor", labels: "Tensor | None", side: int | None = None
) -> "Tensor":
    """The samples, uint8 [N, C, H, W]; of points one plot of all, [1, 1, side, side]."""
    return to_pixels(generator.images(latents, labels), generator.spec.extent, side)


def to_pixels(samples: "Tensor", extent: float | None, side: int | None = None) -> "Tensor":
    from gan_exp.data.packed import to_uint8
    from gan_exp.display.images import scatter_plot

    if extent is None:
        return to_uint8(samples)
    return (scatter_plot(samples, extent) if side is None else scatter_plot(samples, extent, side))[None]


def picture(images: "Tensor", columns: int | None = None, tile: int | None = None) -> "Image.Image":
    """uint8 [N, C, H, W] as a grid of so many `columns`, by default as many as rows.

    Small images are enlarged to about `tile` pixels each, by default to a grid that is easily seen.
    """
    from gan_exp.display.images import filled_grid, to_pil

    return to_pil(filled_grid(images, columns, tile))


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """The `items`, with a bar for those that take long."""
    from gan_exp.display.progress import WorkProgress

    with WorkProgress(len(items), what) as progress:
        for item in items:
            yield item
            progress.advance(1)


def add_animation(parser: Parser, fps: int) -> None:
    parser.add_argument("--fps", type=count_of(1), default=fps, metavar="F", help=(
        f"frames a second of an animation (default {fps})"
    ))  # fmt: skip


def find_animation(options: Namespace, *others: str) -> Path:
    """The file to write: an animation, a strip in a .png, or with one of `others` for its ending.

    Raises UserError where it can't be made.
    """
    from gan_exp.display.animations import ANIMATED, check_animated

    output = find_output(options, (".png", *ANIMATED, *others))
    if output.suffix.lower() in ANIMATED:
        check_animated(output.suffix.lower(), options.fps)
    return output


def is_strip(output: Path) -> bool:
    return output.suffix.lower() == ".png"


def write_animation(frames: "Sequence[Image.Image]", output: Path, options: Namespace, hold: int = 0) -> None:
    from gan_exp.display.animations import encode_animation

    write_output(output, encode_animation(frames, output.suffix.lower(), options.fps, hold), options.force)


def write_picture(picture: "Image.Image", output: Path, options: Namespace) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write_output(output, buffer.getvalue(), options.force)
