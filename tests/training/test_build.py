"""From a configuration to networks and optimizers, and settings that make no sense together."""

import copy

import pytest
import torch
from torch import nn

from builders import SMALL, small_config
from gan_exp.config.check import check
from gan_exp.config.schema import Config
from gan_exp.data.packed import Batch, DataSpec, PackedImages
from gan_exp.errors import UserError
from gan_exp.training import build
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.build import (
    build_data,
    build_discriminator,
    build_generator,
    build_held_out,
    build_state,
    build_step_config,
    refuse_alike,
)
from gan_exp.training.step_types import UpdateInputs
from setups import discriminator_step
from single_steps import rng_for

SPEC = DataSpec((1, 8, 8), num_classes=10)
CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "conditional"), [*((model, "true") for model in SMALL), ("mlp", "false")])
def test_spectral_norm_holds_every_layer_of_the_discriminator_at_1(model: str, conditional: str) -> None:
    config = small_config(model, "spectral_norm=true", f"conditional={conditional}", "lr=0.01")
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    torch.manual_seed(0)
    for _ in range(10):
        batch = Batch(torch.randint(256, (16, 1, 8, 8), dtype=torch.uint8), torch.randint(10, (16,)))
        discriminator_step(state, step_config, batch, torch.randn(16, 8), rng_for)
    with torch.no_grad():
        for _ in range(100):  # the power iteration catches up with the last update
            state.discriminator(torch.randn(2, 1, 8, 8), *([torch.tensor([0, 1])] if conditional == "true" else []))
    layers = [m for m in state.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) >= 2
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert norm.item() == pytest.approx(1, abs=0.02), layer
    assert not any("parametrizations" in name for name, _ in state.generator.named_parameters())
    plain = build_discriminator(small_config(model, f"conditional={conditional}"), SPEC)
    assert not any("parametrizations" in name for name, _ in plain.named_parameters())


@pytest.mark.parametrize("model", SMALL)
def test_packing_doubles_the_channels_of_the_discriminator_alone(model: str) -> None:
    spec = DataSpec((3, 8, 8))
    config = small_config(model, "pac=2")
    discriminator, generator = build_discriminator(config, spec), build_generator(config, spec)
    assert discriminator(torch.randn(4, 6, 8, 8)).shape == (4,)
    assert generator(torch.randn(4, 8)).shape == (4, 3, 8, 8)
    first = next(m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    single = build_discriminator(small_config(model), spec)
    assert first.weight.shape[1] == 2 * next(
        m.weight.shape[1] for m in single.modules() if isinstance(m, nn.Conv2d | nn.Linear)
    )


@pytest.mark.parametrize("optimizer", ["adam", "keras_adam"])
@pytest.mark.parametrize("every", [1, 2, 8])
def test_a_lazy_penalty_leaves_the_optimizers_as_they_are(every: int, optimizer: str) -> None:
    """It is added to its update's loss: one optimizer step an update, with the configured lr and betas."""
    words = ("penalty=r1", f"penalty.every={every}", f"optimizer={optimizer}", "lr=2e-4")
    betas = ("optimizer.discriminator.betas=[0.5,0.99]", "optimizer.generator.betas=[0.5,0.99]")
    state = build_state(small_config("mlp", *words, *betas), SPEC, CPU)
    for network in (state.discriminator_optimizer, state.generator_optimizer):
        (group,) = network.param_groups
        assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.99))


def test_betas_are_scaled_from_their_start_and_stay_below_1() -> None:
    words = ("optimizer.discriminator.betas=[0.0,0.9]", "optimizer.generator.betas=[0.3,0.99999]")
    state = build_state(small_config("mlp", *words), SPEC, CPU)
    (discriminator,), (generator,) = state.discriminator_optimizer.param_groups, state.generator_optimizer.param_groups
    for factor in (1.0, 1.05, 1.1, 1.0):
        state.scale_optimizers(1.0, factor)
        assert discriminator["betas"] == pytest.approx((0.0, 0.9 * factor))
        assert generator["betas"] == (0.3, 0.99999)  # as configured, above what a schedule may raise others to
    state.scale_optimizers(1.0, 2.0)
    assert discriminator["betas"] == (0.0, 0.9999)
    state = build_state(small_config("mlp", "optimizer=sgd"), SPEC, CPU)  # which has none
    state.scale_optimizers(0.5, 2.0)
    assert "betas" not in state.generator_optimizer.param_groups[0]


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_only_what_is_trainable_is_trained(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone that was built frozen is not moved by weight decay either, nor by the steps of the other network."""
    original = getattr(build, f"build_{network}")

    def partly_frozen(config: Config, spec: DataSpec) -> nn.Module:
        made: nn.Module = original(config, spec)
        next(made.children()).requires_grad_(False)
        made.layers[0].requires_grad_(False)  # type: ignore[operator, index, union-attr]
        return made

    monkeypatch.setattr(build, f"build_{network}", partly_frozen)
    config = small_config("mlp", "optimizer=adamw", "ema_halflife_kimg=0.05", "fast_path=auto")
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    step_fn, line = choose_step(config.fast_path, state, step_config, CPU, warn=pytest.fail)
    assert "is frozen in part" in line
    before = copy.deepcopy(dict(getattr(state, network).state_dict()))
    frozen = [name for name, parameter in getattr(state, network).named_parameters() if not parameter.requires_grad]
    for _ in range(3):
        inputs = UpdateInputs(torch.randn(16, 8), Batch(torch.randint(256, (16, 1, 8, 8), dtype=torch.uint8), None))
        step_fn([inputs], inputs)
        state.update_ema(50, 16)
    after = dict(getattr(state, network).named_parameters())
    assert [name for name, parameter in after.items() if not parameter.requires_grad] == frozen
    for name, parameter in after.items():
        assert torch.equal(parameter, before[name]) == (name in frozen), name
    assert torch.equal(
        dict(state.generator_ema.named_parameters())["layers.0.weight"], state.generator.layers[0].weight
    ) == (network == "generator")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("pac=2", "conditional=true"), "pac=2: D can't be given one label for several images; set conditional=false"),
        (("pac=3",), "batch_size=16: must be a multiple of pac=3"),
        (("split_updates=true", "loss=rpgan"), "split_updates=true needs a loss with a term for reals"),
        (("split_updates=true", "penalty=r1_r2"), "split_updates=true can't be combined with a penalty"),
        (("penalty=r1", "penalty.every=0"), "penalty.every=0: must be greater than or equal to 1"),
        (("augment=ada", "augment.start_p=1.5"), "augment.start_p=1.5: must be less than or equal to 1"),
        (("loss=wgan", "loss.clip=0"), "loss.clip=0: must be greater than 0"),
        (("loss.label_smoothing=1",), "loss.label_smoothing=1: must be less than 1"),
        (("instance_noise=-1",), "instance_noise=-1: must be greater than or equal to 0"),
    ],
)
def test_settings_that_do_not_fit_together(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        small_config("mlp", *words)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_conditional_training_needs_labels() -> None:
    config = small_config("mlp", "conditional=true")
    for make in (build_generator, build_discriminator):
        with pytest.raises(UserError, match=r"^conditional=true: digits has no labels; set conditional=false$"):
            make(config, DataSpec((1, 8, 8)))
    state = build_state(config, SPEC, CPU)
    assert state.discriminator.label.embed.num_embeddings == 10


def test_a_share_is_held_out() -> None:
    """The same images whenever asked, none of them in both parts, and resized alike."""
    config = small_config("mlp", "dataset.held_out=0.2", "dataset.resize=9")
    train, held_out, whole = build_data(config, CPU), build_held_out(config), build_data(small_config("mlp"), CPU)
    assert held_out is not None and held_out.image_shape == train.image_shape == (1, 9, 9)
    assert len(train.images) + len(held_out.images) == len(whole.images) == 1797
    assert len(held_out.images) == pytest.approx(0.2 * 1797, rel=0.1)
    train, held_out = whole.split_by_hash(0.2)
    assert {image.numpy().tobytes() for image in train.images}.isdisjoint(
        image.numpy().tobytes() for image in held_out.images
    )
    assert train.digest != whole.digest
    assert held_out.labels is not None and held_out.labels.unique().numel() == 10
    # Other images in the set change nothing.
    few = PackedImages(whole.images[:500], None).split_by_hash(0.2)[1]
    assert torch.equal(few.images, held_out.images[: len(few.images)])


def test_without_a_share_nothing_is_held_out() -> None:
    config = small_config("mlp")
    assert build_held_out(config) is None
    older = check({**config.model_dump(mode="json"), "dataset": {"_target_": config.dataset["_target_"], "name": "d"}})
    assert build_data(older, CPU).digest == build_data(config, CPU).digest  # a run from before there were shares


def test_toys_are_drawn_anew() -> None:
    config = small_config("points", "dataset=ring", "dataset.count=100")
    train, held_out = build_data(config, CPU), build_held_out(config)
    assert held_out is not None and held_out.images.shape == train.images.shape
    assert (held_out.images - train.images).abs().min() > 0
    assert held_out.mixture is not None and held_out.mixture.sigma == 0.01
    assert (train.images.flatten(1) - held_out.mixture.centers[train.labels]).norm(dim=1).max() < 0.06


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("dataset.held_out=1e-9",), "dataset.held_out=1e-09: 1e-09 of 1797 images leaves nothing on one side"),
        (("dataset=ring", "+dataset.held_out=0.1"), "dataset.held_out=0.1: ring has a separate test part already"),
    ],
)
def test_shares_that_make_no_sense(words: tuple[str, ...], sentence: str) -> None:
    config = small_config("points", *words)
    for make in (lambda: build_data(config, CPU), lambda: build_held_out(config)):
        with pytest.raises(UserError) as caught:
            make()
        assert str(caught.value).startswith(sentence)


def test_points_are_not_images() -> None:
    config = small_config("points", "dataset=ring", "dataset.count=100", "augment=diffaugment")
    data = build_data(config, CPU)
    with pytest.raises(UserError, match=r"^augment: ring has points, which can't be augmented; set augment=none$"):
        build_state(config, data.spec, CPU)
    config = small_config("points", "dataset=ring", "dataset.count=100", "+dataset.resize=8")
    with pytest.raises(UserError, match=r"^dataset\.resize=8: ring has points, which can't be resized; .*null$"):
        build_data(config, CPU)
    config = small_config("dcgan", "dataset=ring", "dataset.count=100")
    with pytest.raises(
        UserError, match=r"^model\.generator: dcgan makes images, and the data are points .*: set model=points$"
    ):
        build_state(config, build_data(config, CPU).spec, CPU)


@pytest.mark.parametrize(("copies", "held"), [(1, "1 image"), (3, "3 images, which are all the same")])
def test_images_that_do_not_differ_are_refused(copies: int, held: str) -> None:
    config = small_config("mlp")
    image = torch.randint(256, (1, 1, 8, 8), dtype=torch.uint8)
    data = PackedImages(image.repeat(copies, 1, 1, 1))
    with pytest.raises(UserError, match=f"^dataset=digits: holds {held}, and a GAN learns from images that differ"):
        refuse_alike(config, data)
    data.images[0, 0, 0, 0] ^= 1
    if copies > 1:
        refuse_alike(config, data)
