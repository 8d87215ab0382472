"""What is measured: which recipes, on how many seeds, and the published figures to stand beside.

To add a row, add an `Experiment`; to add a table, a `Contest`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    score: str  # its name in evaluation.json
    heading: str
    digits: int
    factor: float = 1.0


@dataclass(frozen=True)
class Contest:
    """One table. `evaluation` are words for `gan-exp evaluate`; `published` rows are a name and a cell a column.

    What a run costs is told in CPU seconds, which other work on the machine hardly changes, or `by_the_clock`.
    """

    name: str
    title: str
    columns: Sequence[Column]
    evaluation: Sequence[str]
    protocol: str
    seeds: int = 10
    needs_data: bool = False  # files that are not in the package
    by_the_clock: bool = False
    published: Sequence[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Experiment:
    """One row: a name, the contest it takes part in, and the words for `gan-exp train`."""

    name: str
    contest: str
    words: Sequence[str]
    threads: int = 1


MODES, KL = Column("modes", "modes", 1), Column("mode_kl", "KL", 3)
HIGH_QUALITY = Column("high_quality", "high quality, %", 1, 100.0)
# One evaluation a trained network: what is averaged over is the training.
POINTS = ("--metrics", "modes", "--count", "2500", "--seeds", "1")
POINTS_PROTOCOL = (
    "2,500 samples of each trained network. A sample within 3 sigma of a mode is of high quality, and a mode counts "
    "when one falls to it; KL is that of all samples' distribution over nearest modes from the uniform one. Of the "
    "data itself 98.9 % are of high quality. Published: GAN and PacGAN4 by PacGAN (Lin et al. 2018, table 1: 10 "
    "trials, 400,000 steps of batch 100), the others by VEEGAN (Srivastava et al. 2017, 5 runs)"
)
MNIST_COLUMNS = (
    Column("fid_cnn", "fid_cnn", 3),
    Column("precision_cnn", "precision", 3),
    Column("recall_cnn", "recall", 3),
    Column("coverage_cnn", "coverage", 3),
    Column("class_kl_cnn", "KL of classes", 4),
)
MNIST = ("--metrics", "fid,manifolds,classes", "--split", "held_out", "--count", "10000", "--seeds", "1")
MNIST_PROTOCOL = (
    "10,000 samples of each trained network against the 10,000 test images, in the features of the tool's own "
    "classifier: fid_cnn is not the FID of papers, and no published figure can stand beside it. 10,000 training images "
    "have 0.02"
)
CONTESTS = [
    Contest(
        "ring",
        "Ring: 8 Gaussians, radius 1, sigma 0.01",
        (MODES, HIGH_QUALITY, KL),
        POINTS,
        POINTS_PROTOCOL,
        published=(
            ("GAN (PacGAN's run)", "6.3 +- 0.5", "98.2", ""),
            ("PacGAN4", "7.8 +- 0.1", "95.9", ""),
            ("VEEGAN", "8", "52.9", ""),
            ("unrolled GAN", "7.6", "35.6", ""),
        ),
    ),
    Contest(
        "grid",
        "Grid: 25 Gaussians, 2 apart, sigma 0.05",
        (MODES, HIGH_QUALITY, KL),
        POINTS,
        POINTS_PROTOCOL,
        published=(
            ("GAN (PacGAN's run)", "17.3 +- 0.8", "94.8", ""),
            ("PacGAN4", "24.8 +- 0.2", "93.6", ""),
            ("VEEGAN", "24.6", "40", ""),
            ("unrolled GAN", "23.6", "16", ""),
        ),
    ),
    Contest(
        "stacked_mnist",
        "Stacked MNIST: 1,000 modes",
        (MODES, KL),
        ("--metrics", "modes", "--count", "26000", "--seeds", "1"),
        "26,000 samples of each trained network, digit triples by the tool's own classifier; KL from the uniform "
        "distribution. Published: DCGAN and VEEGAN (Srivastava et al. 2017), PacDCGAN2 and the second DCGAN (Lin et "
        "al. 2018), StyleGAN2 and R3GAN (Huang et al. 2024), each with a classifier of its own. The first four train "
        "50 epochs of 128,000 images at batch 64: 100,000 steps",
        seeds=5,
        needs_data=True,
        published=(
            ("DCGAN", "99", "3.40"),
            ("DCGAN (PacGAN's run)", "78.9", "4.50"),
            ("VEEGAN", "150", "2.95"),
            ("PacDCGAN2", "1000", "0.06"),
            ("StyleGAN2", "940", "0.42"),
            ("R3GAN", "1000", "0.029"),
        ),
    ),
    Contest(
        "mnist",
        "MNIST",
        MNIST_COLUMNS,
        MNIST,
        f"{MNIST_PROTOCOL}. `cdcgan_mnist` is told the labels, the article's GAN is not",
        seeds=5,
        needs_data=True,
    ),
    Contest(
        "speedrun",
        "MNIST speedrun",
        MNIST_COLUMNS,
        MNIST,
        f"{MNIST_PROTOCOL}. Seconds of the whole command on the clock, from start to exit, on 2 threads with nothing "
        "else on the machine",
        seeds=5,
        needs_data=True,
        by_the_clock=True,
    ),
]
EXPERIMENTS = [
    Experiment("ring", "ring", ("experiment=ring",)),
    Experiment("grid", "grid", ("experiment=grid",)),
    Experiment("stacked_mnist", "stacked_mnist", ("experiment=stacked_mnist",)),
    Experiment("article", "mnist", ("experiment=article",)),
    Experiment("cdcgan_mnist", "mnist", ("experiment=cdcgan_mnist",)),
    Experiment("mnist_speedrun", "speedrun", ("experiment=mnist_speedrun",), threads=2),
]


def contest_of(experiment: Experiment) -> Contest:
    return next(contest for contest in CONTESTS if contest.name == experiment.contest)


def choose(names: Sequence[str]) -> list[Experiment]:
    """Those that are named, by themselves or with their contest; all without names. Raises ValueError for others."""
    for name in names:
        if not any(name in (experiment.name, experiment.contest) for experiment in EXPERIMENTS):
            known = dict.fromkeys(word for one in EXPERIMENTS for word in (one.contest, one.name))
            raise ValueError(f"{name}: is no experiment; known are {', '.join(known)}")
    return [one for one in EXPERIMENTS if not names or one.name in names or one.contest in names]
