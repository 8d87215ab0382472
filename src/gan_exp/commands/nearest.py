"""`gan-exp nearest RUN`: samples beside their nearest training images. Are they copies?"""

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.commands.exploring import (
    TILE,
    add_generator,
    latents_of,
    load_generator,
    numbers,
    picture,
    refuse_points,
    write_picture,
)
from gan_exp.commands.outputs import add_output, find_output
from gan_exp.evaluation.features.names import FEATURES
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from gan_exp.generators.neighbours import TrainingImages, Yardstick
    from gan_exp.generators.trained import TrainedGenerator
    from gan_exp.metrics.neighbours import Nearest

COUNT, ROWS, NEIGHBOURS = 1000, 8, 5


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    output = find_output(options, (".png",))
    generator = load_generator(options)
    refuse_points(generator, "nearest")

    from gan_exp.generators.neighbours import TrainingImages
    from gan_exp.metrics.neighbours import Nearest

    indices = options.indices or list(range(options.count))
    say(f"comparing {plural(len(indices), 'sample')} of {options.run} with the images that it was trained on")
    samples = _samples(generator, indices, options)
    training = TrainingImages.of(generator, options.features, say)
    nearest = training.nearest(samples, options.neighbours)
    relative, yardstick = training.relative(nearest), training.yardstick()
    shown = list(range(len(indices)))
    if options.indices is None:  # those that are most likely copies
        shown = relative.argsort()[: options.rows].tolist()
    write_picture(_picture(samples, training, nearest, shown), output, options)
    _show(
        [indices[row] for row in shown],
        Nearest(*(part[shown] for part in nearest)),
        relative[shown],
        training,
        yardstick,
    )
    _conclude(nearest.distances[:, 0], yardstick, training.extractor.name)
    chosen = "these samples" if options.indices else f"the {plural(len(shown), 'sample')} of least relative distance"
    images = plural(nearest.indices.shape[1], "nearest training image")
    say(f"{chosen}, each with its {images} on the right, in {output}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "nearest",
        "Show samples beside their nearest training images, and how near held-out images are to theirs: a generator "
        "that copies is nearer.",
    )
    add_generator(parser)
    parser.add_argument("--count", type=count_of(1), default=COUNT, metavar="N", help=(
        f"samples to compare, of which the nearest are shown (default {COUNT})"
    ))  # fmt: skip
    parser.add_argument("--indices", type=numbers, metavar="I,I", help="these samples instead, by their numbers")
    parser.add_argument("--rows", type=count_of(1), default=ROWS, metavar="N", help=(
        f"samples to show (default {ROWS})"
    ))  # fmt: skip
    parser.add_argument("--neighbours", type=count_of(1), default=NEIGHBOURS, metavar="K", help=(
        f"training images beside each (default {NEIGHBOURS})"
    ))  # fmt: skip
    parser.add_argument("--class", dest="label", metavar="CLASS", help="only samples of this class")
    parser.add_argument("--features", choices=FEATURES, help=(
        "what distances are measured in, as for `gan-exp evaluate` (default: cnn if the data has labels, else ssl)"
    ))  # fmt: skip
    add_output(parser, "nearest.png", "a .png")
    return parser


def _samples(generator: "TrainedGenerator", indices: list[int], options: Namespace) -> "Tensor":
    """uint8 [N, C, H, W], with a bar or lines where that takes long."""
    import torch

    from gan_exp.data.packed import to_uint8
    from gan_exp.display.progress import WorkProgress
    from gan_exp.evaluation.sampling import BATCH

    latents, labels = latents_of(generator, options, indices), generator.labels(indices, options.label)
    parts = []
    with WorkProgress(len(indices), "samples") as progress:
        for start in range(0, len(indices), BATCH):
            some = slice(start, start + BATCH)
            parts.append(to_uint8(generator.images(latents[some], None if labels is None else labels[some])))
            progress.advance(len(parts[-1]))
    return torch.cat(parts)


def _picture(samples: "Tensor", training: "TrainingImages", nearest: "Nearest", shown: list[int]) -> "Image.Image":
    """A row for each sample, with a gap between it and its neighbours."""
    from gan_exp.display.animations import side_by_side

    found = nearest.indices[shown]
    images = training.data.images[found.flatten().to(training.data.images.device)].cpu()
    return side_by_side([picture(samples[shown], 1, TILE), picture(images, found.shape[1], TILE)], gap=TILE // 4)


def _show(
    indices: Sequence[int], nearest: "Nearest", relative: "Tensor", training: "TrainingImages", yardstick: "Yardstick"
) -> None:
    from gan_exp.display.columns import Column, Columns
    from gan_exp.display.console import make_console

    first = nearest.indices[:, 0]
    as_near = [(yardstick.relative <= value).double().mean().item() for value in relative]
    columns = [
        Column("sample", [f"{index:,}" for index in indices], right=True),
        Column("distance", [f"{distance:.3g}" for distance in nearest.distances[:, 0].tolist()], right=True),
        Column("nearest training image", training.called(first.tolist()), right=training.data.names is None),
    ]
    labels, names = training.data.labels, training.data.classes
    if labels is not None:
        classes = labels[first.to(labels.device)].tolist()
        columns.append(Column("its class", [names[label] if names else str(label) for label in classes]))
    columns.append(Column("relative distance", [f"{value:.2f}" for value in relative.tolist()], right=True))
    columns.append(
        Column(f"{yardstick.of.partition(',')[0]} as near", [f"{share:.1%}" for share in as_near], right=True)
    )
    make_console().print(Columns(columns), crop=False)
    say("relative: to how far that training image is from the nearest other one; a copy has much less than 1")


def _conclude(distances: "Tensor", yardstick: "Yardstick", features: str) -> None:
    from gan_exp.metrics.neighbours import compare_with_held_out

    found = compare_with_held_out(distances, yardstick.distances)
    of_data = f"{found.held_out_distance:.3g} of {len(yardstick.distances):,} {yardstick.of}"
    say(
        f"median distance to the nearest training image (features {features}): {found.sample_distance:.3g} of "
        f"{plural(len(distances), 'sample')}, {of_data}; "
        f"{found.nearer:.1%} of the samples are nearer than 99 % of these (about 1 % where nothing is memorised)"
    )
