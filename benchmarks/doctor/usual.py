"""Runs as a user starts them, with the default networks and intervals, and runs with one mistake that breaks them.

The expected verdicts were written down before any was seen. A run made to fail must never be called healthy; a verdict
other than the expected one is counted separately.
"""

from benchmarks.doctor.runs import CRITIC, Run

STUCK, COLLAPSE, WINS = "generator not learning", "generator collapse", "discriminator wins"
IDLE, SWINGS, MEMORISING, DIVERGED = "discriminator not learning", "oscillation", "memorising", "diverged"
PHOTOGRAPHS = ("dataset=folder", "dataset.root={photographs}", "dataset.cache={photographs}-packed", "dataset.size=32")
FEW = ("augment=diffaugment", "penalty=r1", "penalty.every=8", "batch_size=32")  # as in the recipe for few images
DCGAN = (
    "model=dcgan",
    *(
        f"model.{network}.{setting}"
        for network in ("generator", "discriminator")
        for setting in ("width=64", "hidden=[]")
    ),
)
NARROW = (*DCGAN, "model.generator.width=16", "model.discriminator.width=16")


def _healthy() -> list[Run]:
    def run(name: str, *overrides: str) -> Run:
        return Run(name, ("healthy",), "usual settings", overrides, short=False)

    return [
        run("plain"),
        run("plain, 1000 steps", "steps=1000"),
        run("plain hinge", "loss=hinge", "steps=2000"),
        run("plain wgan_gp", *CRITIC, "steps=1000"),
        run("plain dcgan", *DCGAN, "steps=2000"),
        run("plain dcgan, conditional", *DCGAN, "conditional=true", "steps=2000"),
        run("plain mnist", "dataset=mnist", "steps=1500"),
        run("plain ring", "experiment=ring", "steps=2000"),
        run("photographs", *PHOTOGRAPHS, *NARROW, *FEW, "steps=2000"),
    ]


def _failing() -> list[Run]:
    still = "G's learning rate is next to zero"
    idle = "D's learning rate is next to zero"
    fast = "a learning rate that is far too high"
    few = "only 20 training images"
    g, d = "optimizer.generator.lr", "optimizer.discriminator.lr"

    def run(name: str, expected: str | tuple[str, ...], setting: str, *overrides: str) -> Run:
        return Run(name, (expected,) if isinstance(expected, str) else expected, setting, overrides, short=False)

    return [
        run("G at 1e-12", STUCK, still, f"{g}=1e-12", "steps=1500"),
        run("G at 1e-7, dcgan", STUCK, still, f"{g}=1e-7", *DCGAN, "steps=1500"),
        run("D at 1e-8", IDLE, idle, f"{d}=1e-8", "steps=1500"),
        run("D at 1e-6", IDLE, idle, f"{d}=1e-6", "steps=1500"),
        run("D at 1e-8, dcgan", IDLE, idle, f"{d}=1e-8", *DCGAN, "steps=1500"),
        run("D at 1e-8, ring", IDLE, idle, f"{d}=1e-8", "experiment=ring", "steps=1000"),
        run("both at 1e-9", (STUCK, IDLE), "both learning rates are next to zero", "lr=1e-9", "steps=1500"),
        run(
            "SGD at Adam's rate",
            (STUCK, IDLE),
            "plain SGD with Adam's learning rate of 2e-4",
            "optimizer=sgd",
            "lr=2e-4",
            "steps=1500",
        ),
        run("G at 0.05", (COLLAPSE, SWINGS, WINS, DIVERGED), fast, f"{g}=0.05", "steps=1500"),
        run("D at 0.05", (WINS, DIVERGED), fast, f"{d}=0.05", "steps=1500"),
        run("both at 0.05", (COLLAPSE, SWINGS, WINS, DIVERGED), fast, "lr=0.05", "steps=1500"),
        run("both at 0.02, dcgan", (COLLAPSE, SWINGS, WINS, DIVERGED), fast, "lr=0.02", *DCGAN, "steps=1500"),
        run(
            "batches of 2",
            (COLLAPSE, SWINGS, WINS),
            "batches too small for BatchNorm",
            "batch_size=2",
            "steps=3000",
        ),
        run("20 images", MEMORISING, few, "dataset.held_out=0.989", "steps=1500"),
        run("20 images, dcgan", MEMORISING, few, "dataset.held_out=0.989", *DCGAN, "steps=1500"),
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
            "saturating loss; D has ten times G's learning rate and five updates a step",
            "loss=minimax",
            "n_critic=5",
            f"{d}=2e-3",
            "steps=1000",
        ),
        run(
            "photographs, conditional",
            (COLLAPSE, IDLE, SWINGS, WINS),
            "too few training steps for photographs: the samples are dots",
            *PHOTOGRAPHS,
            *NARROW,
            "conditional=true",
            "steps=1500",
        ),
    ]


USUAL = [*_healthy(), *_failing()]
