"""`gan-exp sample RUN`: images from a trained generator, as a grid, a folder of PNGs or an array."""

from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from gan_exp.data.packed import DataSpec


def run(arguments: list[str]) -> int:
    parser = Parser("sample", "Make images with a run's generator (the averaged one if the run keeps an average).")
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--count", type=count_of(1), default=64, metavar="N", help="number of images (default 64)")
    parser.add_argument(
        "--seed", type=count_of(0), default=0, metavar="S", help="seed of the random latents (default 0)"
    )
    parser.add_argument("--output", default="samples.png", metavar="FILE", help=(
        "a .png grid (default samples.png), a .npy or .npz of uint8 [N, H, W, C], or a folder with one PNG per image"
    ))  # fmt: skip
    parser.add_argument("--class", dest="label", metavar="CLASS", help=(
        "only this class of a conditional run (default: the classes alternate)"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_trust()
    options = parser.parse_args(arguments)
    refuse_multiple_processes("sample")
    run_dir = RunDir.open(options.run)
    output = expand_user(options.output, "--output")
    if output.suffix not in ("", ".png", ".npy", ".npz"):
        raise UserError(f"--output {output}: must end in .png, .npy or .npz, or be a folder's name without an ending")

    from gan_exp.config.targets import trust
    from gan_exp.data.packed import to_uint8
    from gan_exp.generators.trained import TrainedGenerator

    trust(options.trust)
    generator = TrainedGenerator.from_run(run_dir, options.checkpoint)
    spec, indices = generator.spec, range(options.count)
    images = generator.images(generator.latents(options.seed, indices), generator.labels(indices, options.label))
    images = images if spec.extent is not None else to_uint8(images)
    try:
        write(images, output, spec)
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from error
    channels, height, width = images.shape[1:]
    noun = "points" if spec.extent is not None else f"samples of {height}x{width}x{channels}"
    say(f"{len(images)} {noun} in {output}")
    return 0


def write(images: "Tensor", output: Path, spec: "DataSpec") -> None:
    """Write in the format given by the ending of `output`."""
    import numpy as np
    import torch

    from gan_exp.display.images import encode_png, image_grid, scatter_plot

    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix in (".npy", ".npz"):
        array = images.permute(0, 2, 3, 1).contiguous().numpy()
        if spec.extent is not None:
            array = images.flatten(1).numpy()
        if output.suffix == ".npy":
            np.save(output, array)
        else:
            np.savez_compressed(output, images=array)
    elif spec.extent is not None:
        output.write_bytes(encode_png(scatter_plot(images, spec.extent)))
    elif output.suffix == ".png":
        columns = int(np.ceil(np.sqrt(len(images))))
        rows = -(-len(images) // columns)
        blank = images.new_zeros(rows * columns - len(images), *images.shape[1:])
        output.write_bytes(encode_png(image_grid(torch.cat([images, blank]), rows, columns)))
    else:
        output.mkdir(exist_ok=True)
        for number, image in enumerate(images):
            stop_if_asked()
            (output / f"{number:06d}.png").write_bytes(encode_png(image))
