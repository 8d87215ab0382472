"""`gan-exp sample RUN`: images from a trained generator, as a grid, a folder of PNGs or an array."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gan_exp.config.schema import Config
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
    parser.add_argument("--class", dest="label", type=count_of(0), metavar="K", help=(
        "only this class of a conditional run (default: the classes alternate)"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_trust()
    options = parser.parse_args(arguments)
    run_dir = RunDir.open(options.run)
    output = expand_user(options.output, "--output")
    if output.suffix not in ("", ".png", ".npy", ".npz"):
        raise UserError(f"--output {output}: must end in .png, .npy or .npz, or be a folder's name without an ending")

    from gan_exp.config.targets import trust
    from gan_exp.evaluation.sampling import draw

    trust(options.trust)
    generator, config, spec, _ = load_trained(run_dir, options.checkpoint)
    labels = _labels(config, spec, options.label, options.count)
    images = draw(generator, config.latent_dim, options.count, options.seed, labels, spec)
    try:
        write(images, output, spec)
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from error
    channels, height, width = images.shape[1:]
    noun = "points" if spec.extent is not None else f"samples of {height}x{width}x{channels}"
    say(f"{len(images)} {noun} in {output}")
    return 0


def load_trained(run_dir: RunDir, checkpoint: str | None = None) -> tuple["nn.Module", "Config", "DataSpec", int]:
    """The run's generator ready to sample, its configuration, the shape and classes of its data, and the step.

    No data set is needed. Says which checkpoints it passes over because they are damaged.
    """
    from gan_exp.runs.checkpoint import data_spec
    from gan_exp.training.build import build_generator

    config, content = load_content(run_dir, checkpoint)
    spec = data_spec(content)
    generator = build_generator(config, spec)
    load_weights(generator, content.get("generator_ema", content["generator"]), run_dir, checkpoint)
    return generator, config, spec, content["step"]


def load_content(run_dir: RunDir, checkpoint: str | None) -> tuple["Config", dict[str, Any]]:
    """The run's configuration, and the content of its newest checkpoint or of the one named."""
    from gan_exp.config.check import check
    from gan_exp.runs.checkpoint import load_checkpoint, load_newest

    config = check(run_dir.read_config())
    if checkpoint is None:
        content, passed_over = load_newest(run_dir)
        for sentence in passed_over:
            say(f"skipped: {sentence}")
        return config, content
    return config, load_checkpoint(_find_checkpoint(run_dir, checkpoint))


def _find_checkpoint(run_dir: RunDir, name: str) -> Path:
    """The checkpoint `name`: `best`, a step, a path, or a file's name in the run. Raises UserError, which lists all."""
    if name == "best" and not run_dir.best.is_file():
        raise UserError("--checkpoint best: the run kept none; train with evaluate_every_steps=1000 to keep it")
    kept = {str(step): path for step, path in run_dir.list_checkpoints()}
    if run_dir.best.is_file():
        kept["best"] = run_dir.best
    for path in (kept.get(name), expand_user(name, "--checkpoint"), run_dir.checkpoints / name):
        if path is not None and path.is_file():
            return path
    raise UserError(f"--checkpoint {name}: no such checkpoint; {run_dir.path} has {', '.join(kept) or 'none yet'}")


def load_weights(network: "nn.Module", weights: Any, run_dir: RunDir, checkpoint: str | None) -> None:
    """Load `weights` into `network` for inference. Raises UserError if they don't fit it."""
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:  # other layers, other sizes, or no tensors at all
        raise UserError(
            f"{checkpoint or run_dir.path}: the weights don't fit the model in {run_dir.config} "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error
    network.eval().requires_grad_(False)


def _labels(config: "Config", spec: "DataSpec", wanted: int | None, count: int) -> "Tensor | None":
    """One class for all samples, or alternating classes; None if the run is not conditional."""
    import torch

    if not config.conditional:
        if wanted is not None:
            raise UserError(f"--class {wanted}: the run is not conditional; train one with conditional=true")
        return None
    if wanted is not None and wanted >= spec.num_classes:
        raise UserError(f"--class {wanted}: the run has {spec.num_classes} classes, numbered from 0")
    return torch.arange(count) % spec.num_classes if wanted is None else torch.full((count,), wanted)


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
