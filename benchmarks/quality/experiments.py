"""The recipes to measure, their numbers of seeds, and the published figures for comparison.

To add a row, add an `Experiment`; to add a table, a `Comparison`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    score: str  # its name in evaluation.json
    heading: str
    digits: int
    factor: float = 1.0  # 100 for %
    ranged: bool = True  # whether the lowest and the highest seed are named, too


@dataclass(frozen=True)
class Comparison:
    """One table, or two with `details`. `evaluation` are arguments of `gan-exp evaluate`.

    A `published` row is a name and a cell per column. The cost of a run is given in CPU seconds, which other work on
    the machine hardly changes, or as `wall_clock` time of the whole command.
    """

    name: str
    title: str
    columns: Sequence[Column]
    evaluation: Sequence[str]
    protocol: str
    seeds: int = 10
    needs: str = ""  # the folder of data files that are not in the package
    wall_clock: bool = False
    published: Sequence[tuple[str, ...]] = ()
    details: Sequence[Column] = ()  # a second table


@dataclass(frozen=True)
class Experiment:
    """One row: its name, the comparison it belongs to, and the arguments of `gan-exp train`."""

    name: str
    comparison: str
    words: Sequence[str]
    threads: int = 1


MODES, KL = Column("modes", "modes", 1), Column("mode_kl", "KL", 3)
HIGH_QUALITY = Column("high_quality", "high quality (%)", 1, 100.0)
# One evaluation of each trained network: the mean is over trainings.
POINTS = ("--metrics", "modes", "--count", "2500", "--seeds", "1")
POINTS_PROTOCOL = (
    "2,500 samples of each trained network. A sample is of high quality if it lies within 3 sigma of a mode; a mode is "
    "found if it has such a sample. KL is the divergence of the samples' distribution over their nearest modes from "
    "the uniform one. Of the data itself, 98.9 % are of high quality. Published figures: GAN and PacGAN4 from PacGAN "
    "(Lin et al. 2018, table 1: 10 trials, 400,000 steps of batch 100), the others from VEEGAN (Srivastava et al. "
    "2017, 5 runs)"
)
# The last hidden layers of the panel; the usual features are the classifier's, so fid_cnn is one of them.
PANEL_COLUMNS = (
    Column("panel", "panel", 1),
    Column("recognised", "recognised (%)", 1, 100.0),
    Column("fid_cnn", "cnn (`fid_cnn`)", 3),
    Column("panel_lenet", "lenet", 1, ranged=False),
    Column("panel_mlp", "mlp", 1, ranged=False),
    Column("panel_autoencoder", "autoencoder", 2, ranged=False),
    Column("panel_pixels", "pixels", 1, ranged=False),
)
PANEL_DETAILS = (
    Column("panel_cnn_early", "cnn, early (x 1,000)", 1, 1e3),
    Column("panel_lenet_early", "lenet, early (x 1,000)", 1, 1e3),
    Column("panel_mlp_early", "mlp, early", 1),
    Column("panel_autoencoder_early", "autoencoder, early (x 100,000)", 1, 1e5),
    Column("precision_cnn", "precision", 3),
    Column("recall_cnn", "recall", 3),
    Column("coverage_cnn", "coverage", 3),
    Column("class_kl_cnn", "class KL", 4),
)
PANEL = ("--metrics", "fid,panel,manifolds,classes", "--split", "held_out", "--count", "10000", "--seeds", "1")
PANEL_PROTOCOL = (
    "10,000 samples of each trained network against the 10,000 test images; the row of the real data has as many "
    "training images in their place. The columns `cnn` to `pixels` are Fréchet distances in the last hidden layers of "
    "the panel's members, the early layers stand in the second table; `panel` is the worst of all these distances "
    "relative to that of the real data, and `recognised` the share of samples of which all three classifiers name the "
    "same class with a probability above 0.9. "
    "The networks are the tool's own: no distance can be compared with published figures"
)
COMPARISONS = [
    Comparison(
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
    Comparison(
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
    Comparison(
        "stacked_mnist",
        "Stacked MNIST: 1,000 modes",
        (MODES, KL),
        ("--metrics", "modes", "--count", "26000", "--seeds", "1"),
        "26,000 samples of each trained network; the tool's own classifier recognises the digits. KL is the divergence "
        "from the uniform distribution over 1,000 modes. Published figures: DCGAN and VEEGAN (Srivastava et al. 2017), "
        "PacDCGAN2 and the second DCGAN (Lin et al. 2018), StyleGAN2 and R3GAN (Huang et al. 2024), each with its own "
        "classifier. The first four trained for 50 epochs of 128,000 images at batch 64, which is 100,000 steps",
        seeds=5,
        needs="MNIST",
        published=(
            ("DCGAN", "99", "3.40"),
            ("DCGAN (PacGAN's run)", "78.9", "4.50"),
            ("VEEGAN", "150", "2.95"),
            ("PacDCGAN2", "1000", "0.06"),
            ("StyleGAN2", "940", "0.42"),
            ("R3GAN", "1000", "0.029"),
        ),
    ),
    Comparison(
        "mnist",
        "MNIST",
        PANEL_COLUMNS,
        PANEL,
        f"{PANEL_PROTOCOL}. `cdcgan_mnist` is conditional on the labels unless `conditional=false`, all others are not",
        seeds=5,
        needs="MNIST",
        details=PANEL_DETAILS,
    ),
    Comparison(
        "fashion_mnist",
        "Fashion-MNIST",
        PANEL_COLUMNS,
        PANEL,
        PANEL_PROTOCOL,
        seeds=5,
        needs="FashionMNIST",
        details=PANEL_DETAILS,
    ),
    Comparison(
        "speedrun",
        "MNIST speedrun",
        PANEL_COLUMNS,
        PANEL,
        f"{PANEL_PROTOCOL}. Seconds are the wall-clock time of the whole command, from start to exit, on 2 threads "
        "with nothing else running on the machine",
        seeds=5,
        needs="MNIST",
        wall_clock=True,
        details=PANEL_DETAILS,
    ),
]
EXPERIMENTS = [
    Experiment("ring", "ring", ("experiment=ring",)),
    Experiment("grid", "grid", ("experiment=grid",)),
    Experiment("stacked_mnist", "stacked_mnist", ("experiment=stacked_mnist",)),
    Experiment("article", "mnist", ("experiment=article",)),
    Experiment("plain_mlp", "mnist", ("dataset=mnist", "model=mlp")),
    Experiment("plain_dcgan", "mnist", ("dataset=mnist", "model=dcgan")),
    Experiment("plain_dcgan_long", "mnist", ("dataset=mnist", "model=dcgan", "steps=13000")),
    Experiment("dcgan_mnist", "mnist", ("experiment=dcgan_mnist",)),
    Experiment("cdcgan_mnist", "mnist", ("experiment=cdcgan_mnist",)),
    Experiment("cdcgan_mnist_unlabelled", "mnist", ("experiment=cdcgan_mnist", "conditional=false")),
    Experiment("fashion_dcgan", "fashion_mnist", ("dataset=fashion_mnist", "model=dcgan")),
    Experiment("fashion_cdcgan", "fashion_mnist", ("experiment=cdcgan_mnist", "dataset=fashion_mnist")),
    Experiment(
        "fashion_cdcgan_unlabelled",
        "fashion_mnist",
        ("experiment=cdcgan_mnist", "dataset=fashion_mnist", "conditional=false"),
    ),
    Experiment("mnist_speedrun", "speedrun", ("experiment=mnist_speedrun",), threads=2),
    Experiment("uncond_speedrun", "speedrun", ("dataset=mnist", "model=dcgan", "steps=2200"), threads=2),
]


def comparison_of(experiment: Experiment) -> Comparison:
    return next(comparison for comparison in COMPARISONS if comparison.name == experiment.comparison)


def named(name: str) -> Experiment:
    return next(experiment for experiment in EXPERIMENTS if experiment.name == name)


def choose(names: Sequence[str]) -> list[Experiment]:
    """The experiments with these names or in comparisons with these names; all if there are none. Raises ValueError."""
    for name in names:
        if not any(name in (experiment.name, experiment.comparison) for experiment in EXPERIMENTS):
            known = dict.fromkeys(word for one in EXPERIMENTS for word in (one.comparison, one.name))
            raise ValueError(f"{name}: is not an experiment; choose from {', '.join(known)}")
    return [one for one in EXPERIMENTS if not names or one.name in names or one.comparison in names]
