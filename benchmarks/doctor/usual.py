"""Runs as a user starts them: networks, lengths and intervals as they are by default, and what breaks them.

The truth was written down before any verdict was seen. A run made to fail may never be called healthy; whether it was
called what it is counts apart.
"""

from benchmarks.doctor.runs import CRITIC, Run

STUCK, COLLAPSE, WINS = "generator not learning", "generator collapse", "discriminator wins"
IDLE, SWINGS, MEMORISING, DIVERGED = "discriminator not learning", "oscillation", "memorising", "diverged"
PHOTOGRAPHS = ("dataset=folder", "dataset.root={photographs}", "dataset.cache={photographs}-packed", "dataset.size=32")
FEW = ("augment=diffaugment", "penalty=r1", "penalty.every=8", "batch_size=32")  # as the recipe for few images
NARROW = ("model=dcgan", "model.generator.width=16", "model.discriminator.width=16")


def _healthy() -> list[Run]:
    def run(name: str, *overrides: str) -> Run:
        return Run(name, ("healthy",), "usual settings", overrides, short=False)

    return [
        run("plain"),
        run("plain, 1000 steps", "steps=1000"),
        run("plain hinge", "loss=hinge", "steps=2000"),
        run("plain wgan_gp", *CRITIC, "steps=1000"),
        run("plain dcgan", "model=dcgan", "steps=2000"),
        run("plain dcgan, conditional", "model=dcgan", "conditional=true", "steps=2000"),
        run("plain mnist", "dataset=mnist", "steps=1500"),
        run("plain ring", "experiment=ring", "steps=2000"),
        run("photographs", *PHOTOGRAPHS, *NARROW, *FEW, "steps=2000"),
    ]


def _failing() -> list[Run]:
    still = "no learning rate to speak of for G"
    idle = "no learning rate to speak of for D"
    fast = "a learning rate far too high"
    few = "20 images to train on"
    g, d = "optimizer.generator.lr", "optimizer.discriminator.lr"

    def run(name: str, truth: str | tuple[str, ...], made: str, *overrides: str) -> Run:
        return Run(name, (truth,) if isinstance(truth, str) else truth, made, overrides, short=False)

    return [
        run("G at 1e-12", STUCK, still, f"{g}=1e-12", "steps=1500"),
        run("G at 1e-7, dcgan", STUCK, still, f"{g}=1e-7", "model=dcgan", "steps=1500"),
        run("D at 1e-8", IDLE, idle, f"{d}=1e-8", "steps=1500"),
        run("D at 1e-6", IDLE, idle, f"{d}=1e-6", "steps=1500"),
        run("D at 1e-8, dcgan", IDLE, idle, f"{d}=1e-8", "model=dcgan", "steps=1500"),
        run("D at 1e-8, ring", IDLE, idle, f"{d}=1e-8", "experiment=ring", "steps=1000"),
        run("both at 1e-9", (STUCK, IDLE), "no learning rate to speak of for either", "lr=1e-9", "steps=1500"),
        run(
            "SGD at Adam's rate",
            (STUCK, IDLE),
            "a rate of 2e-4 for plain SGD",
            "optimizer=sgd",
            "lr=2e-4",
            "steps=1500",
        ),
        run("G at 0.05", (COLLAPSE, SWINGS, WINS, DIVERGED), fast, f"{g}=0.05", "steps=1500"),
        run("D at 0.05", (WINS, DIVERGED), fast, f"{d}=0.05", "steps=1500"),
        run("both at 0.05", (COLLAPSE, SWINGS, WINS, DIVERGED), fast, "lr=0.05", "steps=1500"),
        run("both at 0.02, dcgan", (COLLAPSE, SWINGS, WINS, DIVERGED), fast, "lr=0.02", "model=dcgan", "steps=1500"),
        run(
            "batches of 2",
            (COLLAPSE, SWINGS, WINS),
            "too few images a batch for BatchNorm",
            "batch_size=2",
            "steps=3000",
        ),
        run("20 images", MEMORISING, few, "dataset.held_out=0.989", "steps=1500"),
        run("20 images, dcgan", MEMORISING, few, "dataset.held_out=0.989", "model=dcgan", "steps=1500"),
        run(
            "wgan without a bound",
            (DIVERGED, SWINGS, COLLAPSE),
            "nothing bounds the critic",
            "loss=wgan",
            "loss.clip=null",
            "steps=2000",
        ),
        run(
            "minimax, D ahead",
            WINS,
            "the saturating loss, D learns ten times as fast and five times a step",
            "loss=minimax",
            "n_critic=5",
            f"{d}=2e-3",
            "steps=1000",
        ),
        run(
            "photographs, conditional",
            (COLLAPSE, IDLE, SWINGS, WINS),
            "too few updates for photographs: a mush of dots",
            *PHOTOGRAPHS,
            *NARROW,
            "conditional=true",
            "steps=1500",
        ),
    ]


USUAL = [*_healthy(), *_failing()]
