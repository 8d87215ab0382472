"""`gan-exp evolution RUN`: what became of the same latents in the course of training."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.commands.exploring import (
    POINTS,
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
    track,
    write_animation,
    write_picture,
)
from gan_exp.commands.outputs import add_output
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from PIL import Image

COUNT = {True: 4, False: 16}  # samples in a strip, in an animation
MOST_FRAMES = {True: 12, False: 120}
HOLD_MS = 2000  # the last frame

T = TypeVar("T")


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    output = find_animation(options)
    run_dir = RunDir.open(options.run)
    most = options.frames or MOST_FRAMES[is_strip(output)]
    kept = run_dir.list_sample_grids() if options.grids else run_dir.list_checkpoints()
    if not kept:
        what = "grids of samples" if options.grids else "checkpoints"
        raise UserError(f"{run_dir.path}: holds no {what} yet; train it first, or resume it with `gan-exp resume`")
    chosen = evenly(kept, most)
    shown = _from_grids(chosen, output) if options.grids else _from_checkpoints(chosen, output, options)
    steps, frames = list(shown), list(shown.values())
    if is_strip(output):
        from gan_exp.display.animations import side_by_side

        write_picture(side_by_side(frames), output, options)
    else:
        write_animation(frames, output, options, HOLD_MS)
    kind = "grids" if options.grids else "checkpoints"
    some = f"{len(frames)} of {len(kept)} {kind}" if len(frames) < len(kept) else f"{len(kept)} {kind}"
    say(f"{some}, steps {steps[0]:,} to {steps[-1]:,}, in {output}{_hint(run_dir, options, len(kept))}")
    return 0


def _parser() -> Parser:
    parser = Parser("evolution", "Show what became of the same latents in the course of training.")
    add_generator(parser, checkpoint=False)
    parser.add_argument("--grids", action="store_true", help=(
        "show the grids of samples that were written in training; the other choices of samples don't apply"
    ))  # fmt: skip
    parser.add_argument("--count", type=count_of(1), metavar="N", help=(
        f"samples (default {COUNT[False]}, in a strip {COUNT[True]}; of points {POINTS})"
    ))  # fmt: skip
    parser.add_argument("--indices", type=numbers, metavar="I,I", help="these samples, by their numbers")
    parser.add_argument("--class", dest="label", metavar="CLASS", help="only this class of a conditional run")
    parser.add_argument("--frames", type=count_of(1), metavar="N", help=(
        f"at most so many checkpoints or grids, evenly chosen (default {MOST_FRAMES[False]}, in a strip "
        f"{MOST_FRAMES[True]})"
    ))  # fmt: skip
    add_animation(parser, fps=4)
    add_output(parser, "evolution.gif", "a .gif, .webp or .mp4, or a strip in a .png")
    return parser


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly chosen: the last one always, and the first one of two or more."""
    count = min(most, len(items))
    if count == 1:
        return [items[-1]]
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]


def _from_checkpoints(kept: Sequence[tuple[int, Path]], output: Path, options: Namespace) -> "dict[int, Image.Image]":
    """By step; damaged checkpoints are passed over. Raises UserError if all of them are."""
    from gan_exp.display.animations import captioned

    strip = is_strip(output)
    frames: dict[int, Image.Image] = {}
    refused: list[UserError] = []
    for step, _ in track(kept, "checkpoints"):
        try:
            generator = load_generator(options, str(step))
        except UserError as error:
            refused.append(error)
            continue
        count = options.count or (COUNT[strip] if generator.spec.extent is None else POINTS)
        indices = options.indices or range(count)
        labels = generator.labels(indices, options.label)
        images = plotted(generator, latents_of(generator, options, indices), labels)
        column = picture(images, 1, TILE) if strip else picture(images)
        frames[step] = captioned(column, f"{step:,}" if strip else f"step {step:,}")
    if not frames:
        raise refused[0]
    for damage in refused:
        say(f"skipped: {damage}")
    return frames


def _from_grids(kept: Sequence[tuple[int, Path]], output: Path) -> "dict[int, Image.Image]":
    from PIL import Image, UnidentifiedImageError

    from gan_exp.display.animations import captioned

    frames = {}
    for step, path in kept:
        try:
            with Image.open(path, formats=["PNG"]) as grid:
                frames[step] = captioned(grid, f"{step:,}" if is_strip(output) else f"step {step:,}")
        except (OSError, UnidentifiedImageError) as error:
            raise UserError(f"{path}: can't be read as a picture ({error}); remove it") from error
    return frames


def _hint(run_dir: RunDir, options: Namespace, count: int) -> str:
    """Where a run kept few checkpoints and has many grids."""
    grids = len(run_dir.list_sample_grids())
    if options.grids or grids <= count:
        return ""
    return f"; --grids shows the {grids} grids that were written in training"
