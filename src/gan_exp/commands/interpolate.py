"""`gan-exp interpolate RUN`: the way from sample to sample, as an animation or a strip."""

from argparse import Namespace
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.commands.exploring import (
    TILE,
    add_animation,
    add_generator,
    find_animation,
    is_strip,
    latents_of,
    load_generator,
    numbers,
    picture,
    plotted,
    to_pixels,
    track,
    write_animation,
    write_picture,
)
from gan_exp.commands.outputs import add_output
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from gan_exp.generators.class_mixing import ClassMixer
    from gan_exp.generators.paths import Positions
    from gan_exp.generators.trained import TrainedGenerator

KEYS, WALKS, POINTS = 4, 4, 100  # side by side; of points in one plot
BETWEEN_KEYS = {True: 4, False: 30}  # frames of a strip, of an animation


class KeyPoints(NamedTuple):
    """K key points of W walks side by side."""

    latents: "Tensor"  # [K, W, latent_dim]
    labels: "Tensor | None"  # [K, W]


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    output = find_animation(options)
    generator = load_generator(options)
    points = _key_points(generator, options)

    from gan_exp.generators.class_mixing import ClassMixer
    from gan_exp.generators.paths import positions

    keys = len(points.latents)
    stretches = keys if options.loop else keys - 1
    frames = options.frames or stretches * BETWEEN_KEYS[is_strip(output)] + (not options.loop)
    where = positions(keys, frames, options.loop)
    mixer = None
    if points.labels is not None and (points.labels != points.labels[0]).any():
        mixer = ClassMixer(generator.network, generator.spec.num_classes, generator.latent_dim)
        if not mixer.can_mix:
            say("between two classes the class changes at once: this network sees a label as a whole number")
    made = _frames(generator, points, where, mixer, straight=options.linear)
    _write(made, output, options)
    say(f"{frames} frames through {keys} samples in {output}")
    return 0


def _parser() -> Parser:
    parser = Parser("interpolate", "Show the images on the way from sample to sample, as an animation or a strip.")
    add_generator(parser)
    parser.add_argument("--indices", type=numbers, metavar="I,I", help=(
        "the samples to pass, by their numbers as of `gan-exp sample`"
    ))  # fmt: skip
    parser.add_argument("--latents", nargs="+", metavar="FILE", help=(
        "what `gan-exp invert` found for two images or more, to pass in the place of samples"
    ))  # fmt: skip
    parser.add_argument("--keys", type=count_of(2), metavar="K", help=(
        f"how many samples to pass (default {KEYS}, or one for each class of --class)"
    ))  # fmt: skip
    parser.add_argument("--count", type=count_of(1), metavar="N", help=(
        f"walks side by side (default {WALKS}; of points {POINTS} in one plot)"
    ))  # fmt: skip
    parser.add_argument("--class", dest="labels", nargs="+", metavar="CLASS", help=(
        "one class, or several to pass in turn; these go through the same sample, unless --keys or --indices are given"
    ))  # fmt: skip
    parser.add_argument("--loop", action="store_true", help="return to the first sample, so that no jump is seen")
    parser.add_argument("--linear", action="store_true", help="go straight, not along the sphere (slerp)")
    parser.add_argument("--frames", type=count_of(1), metavar="N", help="frames or images of a strip, in all")
    add_animation(parser, fps=20)
    add_output(parser, "interpolation.gif", "a .gif, .webp or .mp4, or a strip in a .png")
    return parser


def _key_points(generator: "TrainedGenerator", options: Namespace) -> KeyPoints:
    import torch

    if options.latents is not None:
        return _read_latents(generator, options)
    places = _places(options, POINTS if generator.spec.extent is not None else WALKS)
    latents = latents_of(generator, options, places.flatten().tolist()).view(*places.shape, -1)
    wanted = options.labels or [None]
    labels = [generator.labels(row, wanted[k % len(wanted)]) for k, row in enumerate(places.tolist())]
    rows = [label for label in labels if label is not None]
    return KeyPoints(latents, torch.stack(rows) if rows else None)


def _read_latents(generator: "TrainedGenerator", options: Namespace) -> KeyPoints:
    """One walk through what `gan-exp invert` found, with the classes that it found unless others are named."""
    import torch

    if options.indices or options.keys or options.count:
        raise UserError("--latents: names what to pass; leave --indices, --keys and --count away")
    if len(options.latents) < 2:
        raise UserError("--latents: a walk passes two files or more")
    latents, labels = [], []
    for k, name in enumerate(options.latents):
        latent, label = _read_latent(expand_user(name, "--latents"), generator)
        wanted: str | int | None = label if generator.conditional else None
        if options.labels:
            wanted = options.labels[k % len(options.labels)]
        elif generator.conditional and label is None:
            raise UserError(f"--latents {name}: names no class, as the run has them; name one with --class")
        latents.append(latent)
        labels.append(generator.labels([0], wanted))
    rows = [label for label in labels if label is not None]
    return KeyPoints(torch.stack(latents)[:, None], torch.stack(rows) if rows else None)


def _read_latent(path: "Path", generator: "TrainedGenerator") -> "tuple[Tensor, int | None]":
    import numpy as np
    import torch

    try:
        with np.load(path, allow_pickle=False) as arrays:
            latent = torch.from_numpy(np.asarray(arrays["latent"], dtype=np.float32))
            label = int(arrays["label"]) if "label" in arrays else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(
            f"--latents {path}: is not a file of `gan-exp invert` ({' '.join(str(error).split())})"
        ) from error
    if latent.shape != (generator.latent_dim,):
        raise UserError(
            f"--latents {path}: has a latent of {'x'.join(map(str, latent.shape))} numbers, and the run's have "
            f"{generator.latent_dim}"
        )
    return latent, label


def _places(options: Namespace, walks: int) -> "Tensor":
    """The numbers of the samples at each key point of each walk, int64 [K, W]."""
    import torch

    classes = len(options.labels or ())
    walks = options.count or walks
    if options.indices is not None:
        if options.keys or options.count:
            raise UserError("--indices: names the samples of one walk; leave --keys and --count away")
        places = torch.tensor(options.indices)[:, None]
        if len(places) == 1:
            places = places.expand(classes, 1)
        if len(places) < 2:
            raise UserError(f"--indices {options.indices[0]}: a walk passes two samples or more, such as --indices 0,1")
        return places
    if options.keys is None and classes > 1:
        return torch.arange(walks).expand(classes, walks)
    keys = options.keys or KEYS
    return torch.arange(keys * walks).view(keys, walks)


def _frames(
    generator: "TrainedGenerator", points: KeyPoints, where: "Positions", mixer: "ClassMixer | None", straight: bool
) -> "Iterator[Tensor]":
    """The images of each frame, uint8 [W, C, H, W']."""
    from gan_exp.generators.paths import follow, lerp, slerp

    latents = follow(points.latents, where, lerp if straight else slerp)
    for k in track(range(len(latents)), "frames"):
        if points.labels is None or mixer is None:
            yield plotted(generator, latents[k], None if points.labels is None else points.labels[0])
        else:
            start, end = points.labels[where.start[k]], points.labels[where.end[k]]
            samples = mixer.images(latents[k], start, end, where.weight[k].expand(len(start)))
            yield to_pixels(samples, generator.spec.extent)


def _write(frames: "Iterator[Tensor]", output: "Path", options: Namespace) -> None:
    import torch

    if is_strip(output):
        images = torch.stack(list(frames), dim=1)  # walks, frames
        write_picture(picture(images.flatten(0, 1), images.shape[1], TILE), output, options)
    else:
        write_animation([picture(frame) for frame in frames], output, options)
