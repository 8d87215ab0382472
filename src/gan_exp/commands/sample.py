"""`gan-exp sample RUN`: images from a trained generator, as a grid, a folder of PNGs or an array."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of, number_above
from gan_exp.commands.outputs import cannot_write, refuse_existing
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import Interrupted
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from gan_exp.generators.sample_files import SampleFiles
    from gan_exp.generators.trained import TrainedGenerator

    Block = tuple[range, Tensor, Tensor | None]  # indices, images, labels


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    refuse_multiple_processes("sample")
    run_dir = RunDir.open(options.run)
    output = expand_user(options.output, "--output")
    if output.suffix.lower() not in ("", ".png", ".npy", ".npz"):
        raise UserError(f"--output {output}: must end in .png, .npy or .npz, or be a folder's name without an ending")
    if output.suffix:
        refuse_existing(output, options.force)

    from gan_exp.config.targets import trust
    from gan_exp.data.reading import counted
    from gan_exp.generators.trained import TrainedGenerator
    from gan_exp.runtime.device import inference_device

    trust(options.trust)
    device = inference_device(options.device)
    generator = TrainedGenerator.from_run(run_dir, options.checkpoint, not options.no_average, device)
    indices = range(options.start, options.start + _count(options, generator, output))
    generator.labels(indices[:1], options.label)  # refuses a class before anything is written
    try:
        files = _open(output, generator, indices, options)
        done = _write(files, _draw(generator, indices, options), indices, output)
    except OSError as error:
        raise cannot_write(output, error) from error
    channels, height, width = generator.spec.image_shape
    points = generator.spec.extent is not None
    what = counted(done, "point") if points else f"{counted(done, 'sample')} of {height}x{width}x{channels}"
    say(f"{what} in {output}, computed in float32")  # whatever the training's precision was
    return 0


def _parser() -> Parser:
    parser = Parser("sample", "Make images with a run's generator (the averaged one if the run keeps an average).")
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--count", type=count_of(1), metavar="N", help=(
        "number of images, as large as you like (default 64; in a grid of classes 8 of each)"
    ))  # fmt: skip
    parser.add_argument(
        "--seed", type=count_of(0), default=0, metavar="S", help="seed of the random latents (default 0)"
    )
    parser.add_argument("--start", type=count_of(0), default=0, metavar="I", help=(
        "index of the first image (default 0); an image depends on checkpoint, seed, index and class alone"
    ))  # fmt: skip
    parser.add_argument("--output", default="samples.png", metavar="FILE", help=(
        "a .png grid (default samples.png), a .npy or .npz of uint8 [N, H, W, C], or a folder with one PNG per image"
    ))  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite what exists")
    parser.add_argument("--class", dest="label", metavar="CLASS", help=(
        "only this class of a conditional run, by its name or number (default: the classes alternate); where names are "
        "numbers, the name counts"
    ))  # fmt: skip
    parser.add_argument("--truncation", type=number_above(0), metavar="T", help=(
        "move the latents into [-T, T], such as 0.7: images nearer to the typical ones, with less variety"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_argument("--no-average", action="store_true", help="the generator in training, not its average")
    parser.add_device()
    parser.add_trust()
    return parser


def _count(options: Namespace, generator: "TrainedGenerator", output: Path) -> int:
    from gan_exp.generators.sample_files import usual_count

    if options.count is not None:
        return int(options.count)
    classes = len(generator.class_names) if options.label is None and output.suffix.lower() == ".png" else 0
    return usual_count(classes, otherwise=64)


def _open(output: Path, generator: "TrainedGenerator", indices: range, options: Namespace) -> "SampleFiles":
    from gan_exp.generators.sample_files import Array, Folder, Picture, samples_in

    spec, names = generator.spec, generator.class_names
    if output.suffix.lower() in (".npy", ".npz"):
        return Array(output, spec, len(indices))
    if output.suffix.lower() == ".png":
        return Picture(output, spec, names, len(indices))
    if spec.extent is not None:
        raise UserError(f"--output {output}: points are written as a .png plot, a .npy or a .npz")
    there = samples_in(output, options.seed)
    clash = next((there[index] for index in indices if index in there), None)
    if clash is not None and not options.force:
        raise UserError(
            f"--output {output}: holds {clash} already; name another folder, begin behind it with --start "
            f"{max(there) + 1}, or overwrite with --force"
        )
    return Folder(output, options.seed, names)


def _draw(generator: "TrainedGenerator", indices: range, options: Namespace) -> "Iterator[Block]":
    from gan_exp.evaluation.sampling import BATCH

    first = indices.start
    while first < indices.stop:
        block = range(first, min(indices.stop, (first // BATCH + 1) * BATCH))
        latents, labels = generator.latents(options.seed, block), generator.labels(block, options.label)
        if options.truncation is not None:
            latents = generator.truncate(latents, options.truncation)
        yield block, generator.images(latents, labels), labels
        first = block.stop


def _write(files: "SampleFiles", blocks: "Iterator[Block]", indices: range, output: Path) -> int:
    """How many were written. A signal ends the work, and what was written until then is kept."""
    from gan_exp.display.progress import WorkProgress

    done = 0
    try:
        with WorkProgress(len(indices), "samples") as progress:
            for block, images, labels in blocks:
                files.add(block, images, labels)
                done += len(block)
                progress.advance(len(block))
    except Interrupted as interruption:
        if done == 0:
            files.discard()
            raise
        files.finish()
        another = " --output ANOTHER" if output.suffix else ""
        say(
            f"interrupted after {done:,} of {len(indices):,} samples, which are in {output}; the same command with "
            f"--start {indices.start + done} --count {len(indices) - done}{another} makes the others"
        )
        raise Interrupted(interruption.signal, reported=True) from None
    except BaseException:
        files.discard()
        raise
    files.finish()
    return done
