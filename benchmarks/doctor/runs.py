"""Healthy runs, and runs made to fail in each way. Expected verdicts were written down before any was seen."""

from typing import NamedTuple


class Run(NamedTuple):
    name: str
    expected: tuple[str, ...]  # the verdicts that are right
    setting: str  # the reason for them, in words
    overrides: tuple[str, ...]
    short: bool = True  # with INTERVALS, else with the default intervals


# Each run names what it adds to this; the package's own defaults stabilise a run, and may change.
BASE = ("steps=4000", "batch_size=64", "lr=2e-4", "penalty=none", "schedule=constant", "reuse_fakes=false")
INTERVALS = ("log_every_steps=50", "sample_every_steps=100", "checkpoint_every_steps=100000")
MLP = ("model.generator.widths=[128,256]", "model.discriminator.widths=[256,128]", "steps=1500")
CONVOLUTIONS_ALONE = ("model.generator.hidden=[]", "model.discriminator.hidden=[]")
DCGAN = (
    "model=dcgan",
    "model.generator.width=8",
    "model.discriminator.width=8",
    *CONVOLUTIONS_ALONE,
    "steps=1000",
    "batch_size=32",
)
POINTS = (
    "model=points",
    "model.generator.widths=[128,128,128]",
    "model.discriminator.widths=[64,64,64]",
    "latent_dim=2",
    "batch_size=100",
    "steps=2000",
    "dataset.count=20000",
    "lr=1e-3",
)
SMOOTH = (
    "loss=rpgan",
    "penalty=r1_r2",
    "optimizer.generator.betas=[0.0,0.99]",
    "optimizer.discriminator.betas=[0.0,0.99]",
)
CRITIC = ("loss=wgan", "loss.clip=null", "penalty=wgan_gp", "n_critic=3")
MNIST = ("dataset=mnist", "dataset.resize=16")
FEW = "dataset.held_out=0.97"  # leaves about 50 training images
STARVED = "optimizer.generator.lr=1e-8"


def _healthy() -> list[Run]:
    def run(name: str, *overrides: str) -> Run:
        return Run(name, ("healthy",), "usual settings", overrides)

    return [
        run("digits mlp", *MLP),
        run("digits mlp hinge sn", *MLP, "loss=hinge", "spectral_norm=true"),
        run("digits mlp hinge r1", *MLP, "loss=hinge", "penalty=r1", "penalty.every=1"),
        run("digits mlp lsgan", *MLP, "loss=lsgan"),
        run("digits mlp wgan_gp", *MLP, *CRITIC),
        run("digits mlp rpgan", *MLP, *SMOOTH),
        run("digits mlp, some held out", *MLP, "dataset.held_out=0.2"),
        run("digits dcgan", *DCGAN),
        run("digits dcgan hinge", *DCGAN, "loss=hinge", "penalty=r1", "penalty.every=1"),
        run("digits dcgan diffaugment", *DCGAN, "augment=diffaugment", "augment.cutout=0"),
        run("mnist mlp", *MLP, *MNIST),
        run("mnist mlp rpgan", *MLP, *MNIST, *SMOOTH),
        run("mnist dcgan", *DCGAN, *MNIST),
        run("ring points rpgan", *POINTS, *SMOOTH, "dataset=ring"),
        run("grid points rpgan", *POINTS, *SMOOTH, "dataset=grid"),
        run("ring points hinge r1_r2", *POINTS, "loss=hinge", "penalty=r1_r2", "dataset=ring"),
        run("mnist mlp wgan_gp", *MLP, *MNIST, *CRITIC),
    ]


def _failing() -> list[Run]:
    return [*_of_the_generator(), *_of_the_discriminator(), *_of_both()]


def _of_the_generator() -> list[Run]:
    stuck, starved = ("generator not learning",), "G's learning rate is 1e-8"
    collapse, strong = ("generator collapse",), "G's learning rate is 50 times D's or more"
    fast = ("optimizer.generator.lr=2e-3", "optimizer.discriminator.lr=4e-5")
    faster = ("optimizer.generator.lr=1e-2", "optimizer.discriminator.lr=1e-4")
    return [
        Run("starved mlp", stuck, starved, (*MLP, STARVED)),
        Run("starved mlp hinge", stuck, starved, (*MLP, STARVED, "loss=hinge", "penalty=r1", "penalty.every=1")),
        Run("starved mlp wgan_gp", stuck, starved, (*MLP, *CRITIC, STARVED)),
        Run("starved dcgan", stuck, starved, (*DCGAN, STARVED)),
        Run("starved ring", stuck, starved, (*POINTS, *SMOOTH, "dataset=ring", STARVED)),
        Run("starved grid", stuck, starved, (*POINTS, *SMOOTH, "dataset=grid", STARVED)),
        Run("strong G, mlp", collapse, strong, (*MLP, *fast)),
        Run("strong G, mlp hinge", collapse, strong, (*MLP, *fast, "loss=hinge")),
        Run("strong G, mlp lsgan", collapse, strong, (*MLP, *fast, "loss=lsgan")),
        Run("strong G, mnist mlp", collapse, strong, (*MLP, *MNIST, *fast)),
        Run("strong G, mnist mlp hinge", collapse, strong, (*MLP, *MNIST, *fast, "loss=hinge")),
        Run("strong G, grid hinge", collapse, strong, (*POINTS, "dataset=grid", *faster, "loss=hinge")),
        Run(
            "conditional mlp",
            collapse,
            "a conditional D is too strong for an MLP on few images",
            (*MLP, "conditional=true"),
        ),
    ]


def _of_the_discriminator() -> list[Run]:
    wins, memorising = ("discriminator wins",), ("memorising",)
    sure = "saturating loss; D has 20 times G's learning rate and five updates a step"
    slow = "D has 100 times G's learning rate and five updates a step"
    ahead = ("optimizer.discriminator.lr=2e-3", "optimizer.generator.lr=1e-4", "n_critic=5", "loss=minimax")
    far_ahead = ("optimizer.discriminator.lr=2e-3", "optimizer.generator.lr=2e-5", "n_critic=5")
    few = "only 50 training images"
    return [
        Run("sure D, mlp", wins, sure, (*MLP, *ahead)),
        Run("sure D, mnist mlp", wins, sure, (*MLP, *MNIST, *ahead)),
        Run("sure D, dcgan", wins, sure, (*DCGAN, *ahead)),
        Run("sure D, mlp hinge", wins, slow, (*MLP, *far_ahead, "loss=hinge", "steps=800")),
        Run("sure D, mlp lsgan", wins, slow, (*MLP, *far_ahead, "loss=lsgan", "steps=800")),
        Run("few images, mlp", memorising, few, (*MLP, FEW)),
        Run("few images, mlp hinge", memorising, few, (*MLP, FEW, "loss=hinge", "penalty=r1", "penalty.every=1")),
        Run("few images, mlp rpgan", memorising, few, (*MLP, FEW, *SMOOTH)),
        Run(
            "few images, dcgan", memorising, few, (*DCGAN, FEW, "model.discriminator.width=16", "lr=1e-3", "steps=2000")
        ),
    ]


def _of_both() -> list[Run]:
    swings, diverged, stalled = ("oscillation",), ("diverged",), ("stalled",)
    loose = "a loosely bounded critic, a high learning rate, momentum, no averaged generator"
    hasty = "25 times the usual learning rate, momentum, no averaged generator"
    fast = "learning rates that are far too high"
    noise = "so much instance noise that G has soon learned all that D can see"
    betas = ("optimizer.generator.betas=[0.9,0.999]", "optimizer.discriminator.betas=[0.9,0.999]")
    swing = (*betas, "ema_halflife_kimg=0")
    critic = ("loss=wgan", "loss.clip=0.3")
    noisy = ("instance_noise=1.0", "steps=4000")
    return [
        Run("swinging ring wgan", swings, loose, (*POINTS, "dataset=ring", *critic, *swing, "lr=2e-3")),
        Run("swinging grid wgan", swings, loose, (*POINTS, "dataset=grid", *critic, *swing, "lr=2e-3")),
        Run("swinging mlp", swings, hasty, (*MLP, *swing, "lr=5e-3")),
        Run("swinging mnist mlp", swings, hasty, (*MLP, *MNIST, *swing, "lr=5e-3")),
        Run("swinging mlp wgan", swings, loose, (*MLP, *critic, *swing, "lr=5e-3")),
        Run("burst mlp lsgan", diverged, fast, (*MLP, "optimizer=sgd", "lr=1e4", "loss=lsgan")),
        Run("burst mlp hinge", diverged, fast, (*MLP, "optimizer=sgd", "lr=1e3", "loss=hinge")),
        Run("burst mlp wgan", diverged, fast, (*MLP, "loss=wgan", "loss.clip=null", "lr=0.5")),
        Run("burst ring", diverged, fast, (*POINTS, "dataset=ring", "optimizer=sgd", "lr=1e3")),
        Run("noisy mlp", stalled, noise, (*MLP, *noisy)),
        Run("noisy mlp hinge", stalled, noise, (*MLP, *noisy, "loss=hinge", "penalty=r1", "penalty.every=1")),
        Run("noisy mnist mlp", stalled, noise, (*MLP, *MNIST, *noisy)),
    ]


SHORT = [*_healthy(), *_failing()]
