"""Short trainings in float64 in which parts of a batch add up to the whole, without BatchNorm or with that of ranks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import torch
from torch import Tensor, nn

from builders import small_config
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages, normalise
from gan_exp.models.synchronised import synchronise_batch_norm
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.training import step as step_module
from gan_exp.training.assembly import build_inputs
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step

CPU = torch.device("cpu")
STEPS = 14
CLOSE = {"rtol": 0.0, "atol": 1e-10}

# Together every loss, penalty and augmentation, and every setting of the step.
CASES = [
    ("loss=non_saturating", "penalty=r1", "penalty.every=3", "augment=ada", "augment.start_p=0.5"),
    ("loss=hinge", "penalty=wgan_gp", "augment=diffaugment"),
    ("loss=lsgan", "penalty=dragan", "conditional=true"),
    ("loss=wgan", "optimizer=rmsprop", "loss.clip=0.05", "n_critic=2", "reuse_fakes=true"),
    ("loss=rpgan", "penalty=r1_r2", "pac=2", "augment=pipeline", "augment.cutout=0.5"),
    ("loss=rpgan", "penalty=r1_r2_fd", "pac=2", "augment=pipeline", "penalty.every=2"),
    ("loss=minimax", "split_updates=true", "inference_fakes=true", "instance_noise=0.1"),
    ("loss=non_saturating", "penalty=dragan", "penalty.every=2", "reuse_fakes=true", "conditional=true", "n_critic=2"),
    ("loss=rpgan", "penalty=r1", "spectral_norm=true", "reuse_fakes=true", "optimizer=sgd"),
]
# Of ranks alone, since micro-batches change its statistics: in G; in both networks, also under a penalty on D.
WITH_BATCH_NORM = [
    ("loss=hinge", "penalty=r1", "conditional=true"),
    ("model=dcgan", "n_critic=2", "augment=diffaugment"),
    ("model=dcgan", "penalty=r1", "penalty.every=2", "model.checkpointing=true"),
    ("model=dcgan", "penalty=dragan", "inference_fakes=true"),
]
ALL_CASES = [*CASES, *WITH_BATCH_NORM]


@contextmanager
def float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(step_module, "normalise", lambda images: normalise(images).double()):
            yield
    finally:
        torch.set_default_dtype(before)


def data() -> PackedImages:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (50, 1, 8, 8), dtype=torch.uint8, generator=rng)
    return PackedImages(images, torch.arange(50) % 10, tuple("0123456789"))


def configured(words: tuple[str, ...]) -> Config:
    model = "dcgan" if "model=dcgan" in words else "mlp"
    return small_config(model, "lr=1e-3", "latent_dim=8", "ema_halflife_kimg=0.1", *words)


def train(
    words: tuple[str, ...], micro_batch_size: int | None = None, ranks: Ranks = ALONE, steps: int = STEPS
) -> dict[str, Tensor]:
    """All that a training of these words leaves behind, by name."""
    with float64():
        config = configured(words)
        state = build_state(config, data().spec, CPU)
        for network in (state.generator, state.generator_ema):
            if words in CASES:
                _without_batch_norm(network)
        for network in state.networks.values():
            synchronise_batch_norm(network, ranks)
        step_config = replace(build_step_config(config, ranks), micro_batch_size=micro_batch_size)
        inputs = build_inputs(config, data(), step_config, CPU)
        means, found = RunningMeans(CPU, "penalty", step_config.boundary), dict[str, Tensor]()
        for step in range(steps):
            given = inputs.discriminator(step, measured=True), inputs.generator(step, measured=True)
            means.add(train_step(state, step_config, *given))
            state.update_ema(100, config.batch_size)
            if step % 7 == 6:
                found |= {f"{tag} at {step}": torch.tensor(value) for tag, value in means.read().items()}
        return found | _of_state(state)


def _of_state(state: TrainingState) -> dict[str, Tensor]:
    networks = {"G": state.generator, "D": state.discriminator, "average": state.generator_ema}
    if state.augment is not None:
        networks["augment"] = state.augment
    kept = {f"{of}.{name}": value for of, network in networks.items() for name, value in network.state_dict().items()}
    return kept | {"step": torch.tensor(state.step), "images seen": torch.tensor(state.images_seen)}


def _without_batch_norm(network: nn.Module) -> None:
    """The optimizer keeps the parameters, which get no gradients."""
    layers = network.get_submodule("layers")
    assert isinstance(layers, nn.Sequential)
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm1d):
            layers[number] = nn.Identity()
