"""`gan-exp directions RUN`: the directions of the latents that change the images most, and what they do."""

import io
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser, count_of, number_above
from gan_exp.commands.exploring import (
    POINTS,
    TILE,
    add_animation,
    add_generator,
    find_animation,
    is_strip,
    latents_of,
    load_generator,
    picture,
    plotted,
    track,
    write_animation,
    write_picture,
)
from gan_exp.commands.outputs import add_output, write_output
from gan_exp.errors import UserError
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from torch import Tensor

    from gan_exp.generators.trained import TrainedGenerator

COUNT, REACH = 8, 4.0
SMALL_PLOT = 128  # pixels, where the samples are points
FRAMES = {True: 9, False: 48}  # of a strip, of an animation


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    output = find_animation(options, ".npz")
    generator = load_generator(options)
    if options.count > generator.latent_dim:
        raise UserError(f"--count {options.count}: the latents have {generator.latent_dim} dimensions, and no more")

    from gan_exp.generators.directions import principal_directions

    found, strengths = principal_directions(generator, generator.latent_dim, options.seed, options.label)
    directions = found[: options.count]
    if output.suffix.lower() == ".npz":
        _write_arrays(directions, strengths[: options.count], output, options)
    else:
        _write_pictures(generator, directions, output, options)
    effects = strengths.double().square()
    share = (effects[: options.count].sum() / effects.sum()).item()
    say(
        f"{plural(options.count, 'direction')} in {output}: {share:.0%} of the effect of all {generator.latent_dim}; "
        f"strengths {', '.join(f'{strength:.3g}' for strength in strengths[: options.count].tolist())}"
    )
    return 0


def _parser() -> Parser:
    parser = Parser(
        "directions",
        "Find the directions of the latents that change the images most, and show a sample moved along each: a row of "
        "a strip, or a tile of an animation.",
    )
    add_generator(parser)
    parser.add_argument("--count", type=count_of(1), default=COUNT, metavar="K", help=f"directions (default {COUNT})")
    parser.add_argument("--index", type=count_of(0), default=0, metavar="I", help="the sample to move (default 0)")
    parser.add_argument("--reach", type=number_above(0), default=REACH, metavar="R", help=(
        f"how far to move it, in standard deviations of a latent (default {REACH:g})"
    ))  # fmt: skip
    parser.add_argument("--class", dest="label", metavar="CLASS", help=(
        "the class of a conditional run (default: directions of all classes, and the sample's class)"
    ))  # fmt: skip
    parser.add_argument("--frames", type=count_of(2), metavar="N", help=(
        f"images of a row (default {FRAMES[True]}), or frames (default {FRAMES[False]})"
    ))  # fmt: skip
    add_animation(parser, fps=20)
    add_output(parser, "directions.png", (
        "a strip in a .png, a .gif, .webp or .mp4, or a .npz of the directions [K, latent_dim] and their strengths [K]"
    ))  # fmt: skip
    return parser


def _write_arrays(directions: "Tensor", strengths: "Tensor", output: Path, options: Namespace) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, directions=directions.numpy(), strengths=strengths.numpy())
    write_output(output, buffer.getvalue(), options.force)


def _write_pictures(generator: "TrainedGenerator", directions: "Tensor", output: Path, options: Namespace) -> None:
    import torch

    frames = options.frames or FRAMES[is_strip(output)]
    if is_strip(output):
        offsets = torch.linspace(-options.reach, options.reach, frames)
    else:  # to one end, to the other, and back
        offsets = options.reach * torch.sin(torch.arange(frames) * 2 * torch.pi / frames)
    images = [_moved(generator, offset * directions, options) for offset in track(offsets.tolist(), "frames")]
    if is_strip(output):
        write_picture(picture(torch.stack(images, dim=1).flatten(0, 1), len(images), TILE), output, options)
    else:
        write_animation([picture(tiles) for tiles in images], output, options)


def _moved(generator: "TrainedGenerator", moves: "Tensor", options: Namespace) -> "Tensor":
    """The sample after each of the moves [K, latent_dim]; of points a plot of many samples: uint8 [K, C, H, W]."""
    import torch

    if generator.spec.extent is None:
        latents = latents_of(generator, options, [options.index]) + moves
        labels = generator.labels([options.index], options.label)
        return plotted(generator, latents, None if labels is None else labels.expand(len(latents)), SMALL_PLOT)
    latents, labels = latents_of(generator, options, range(POINTS)), generator.labels(range(POINTS), options.label)
    return torch.cat([plotted(generator, latents + move, labels, SMALL_PLOT) for move in moves])
