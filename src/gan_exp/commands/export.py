"""`gan-exp export RUN`: the trained generator as one file for others, and its model card."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import RUN_HELP, Parser
from gan_exp.commands.outputs import find_output, refuse_existing, write_output
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.generators.trained import TrainedGenerator

ENDINGS = {"safetensors": ".safetensors", "onnx": ".onnx", "torch": ".pt2"}


def run(arguments: list[str]) -> int:
    options = _parse(arguments)
    refuse_multiple_processes("export")
    run_dir = RunDir.open(options.run)
    output = find_output(options, list(ENDINGS.values()))
    name = _format(options, output)
    beside = [output.with_name(output.name + ending) for ending in (".md", ".png")] if options.card else []
    for path in beside:
        refuse_existing(path, options.force)

    from gan_exp.config.targets import trust
    from gan_exp.generators.trained import TrainedGenerator

    trust(options.trust)
    trained = TrainedGenerator.from_run(run_dir, options.checkpoint, options.average)
    _write(name, output, beside, trained, run_dir, options)
    return 0


def _parse(arguments: list[str]) -> Namespace:
    parser = Parser("export", "Write a run's generator as one file for others, and check it; with a model card beside.")
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--format", choices=ENDINGS, help=(
        "onnx for ONNX Runtime, torch for plain PyTorch (torch.export), or safetensors, the weights alone "
        "(default: by the ending of FILE)"
    ))  # fmt: skip
    parser.add_argument("--output", metavar="FILE", help=(
        "ends in .safetensors, .onnx or .pt2 (default generator.safetensors, or with the ending of --format)"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_argument("--no-average", dest="average", action="store_false", help=(
        "the generator in training, not the averaged one that a run keeps"
    ))  # fmt: skip
    parser.add_argument("--license", metavar="TEXT", help=(
        "licence of the data set, for the file and its card (default: dataset.license of the run)"
    ))  # fmt: skip
    parser.add_argument("--no-card", dest="card", action="store_false", help=(
        "write no model card (FILE.md) and no samples for it (FILE.png)"
    ))  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite what exists")
    parser.add_trust()
    options = parser.parse_args(arguments)
    options.output = options.output or f"generator{ENDINGS[options.format or 'safetensors']}"
    return options


def _format(options: Namespace, output: Path) -> str:
    """That of --format, or of the file's ending. Raises UserError if they differ."""
    by_ending = next(name for name, ending in ENDINGS.items() if ending == output.suffix.lower())
    if options.format not in (None, by_ending):
        raise UserError(
            f"--output {output}: is a file of --format {by_ending}; one of --format {options.format} ends in "
            f"{ENDINGS[options.format]}"
        )
    return by_ending


def _write(
    name: str, output: Path, beside: list[Path], trained: "TrainedGenerator", run_dir: RunDir, options: Namespace
) -> None:
    from gan_exp.comparison.records import read_runs
    from gan_exp.generators.export.about import describe
    from gan_exp.generators.export.card import Exported, model_card, sample_grid
    from gan_exp.generators.export.formats import FORMATS, check_file

    record = read_runs([run_dir.path])[0]
    averaged = options.average and trained.config.ema_halflife_kimg > 0
    about = describe(trained, record, averaged, options.license)
    content = FORMATS[name].content(trained, about)
    samples = sample_grid(trained) if beside else b""
    stop_if_asked()
    checked: list[str] = []
    write_output(output, content, options.force, lambda path: checked.append(check_file(name, path, trained)))
    say(f"the generator of step {trained.step} in {output}")
    say(f"checked: {checked[0]}")
    if beside:
        card, picture = beside
        text = model_card(trained, record, about, Exported(name, output.name, picture.name, checked[0]))
        write_output(picture, samples, options.force)
        write_output(card, text.encode(), options.force)
        say(f"its model card in {card}, with samples in {picture.name}")
