"""The manual backward pass against autograd: the same steps up to rounding, and the same state at the end."""

import copy
from functools import partial

import pytest
import torch

from builders import SMALL, make_config, small_config
from gan_exp.data.packed import Batch, DataSpec, normalise
from gan_exp.penalties import RngFor
from gan_exp.runtime.randomness import Streams
from gan_exp.training import step as step_module
from gan_exp.training.acceleration import manual as manual_module
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.acceleration.manual import ManualStep
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepFn, StepReport, UpdateInputs

SHAPE = (1, 8, 8)
SPEC = DataSpec(SHAPE, num_classes=10)
CPU = torch.device("cpu")


def streams_of(streams: Streams, step: int, k: int) -> RngFor:
    return lambda purpose: streams.at(step, f"{k}/{purpose}")


def inputs_of(step: int, n_critic: int) -> tuple[list[UpdateInputs], UpdateInputs]:
    streams = Streams(0)
    made = []
    for k in range(n_critic):
        images = torch.randint(256, (16, *SHAPE), dtype=torch.uint8, generator=streams.at(step, f"batch/{k}"))
        weight = 4.0 if (step * n_critic + k) % 4 == 0 else 0.0
        latents = streams.latents(step, f"{k}", 16, 8)
        made.append(
            UpdateInputs(latents, Batch(images, None), streams_of(streams, step, k), weight, measured=step % 3 == 0)
        )
    return made, UpdateInputs(streams.latents(step, "generator", 16, 8), measured=step % 3 == 0)


def run_steps(step_fn: StepFn, n_critic: int, steps: range) -> list[StepReport]:
    return [step_fn(*inputs_of(step, n_critic)) for step in steps]


RECIPES = [
    [],
    ["split_updates=true", "inference_fakes=true", "optimizer=keras_adam"],
    ["n_critic=3", "loss=hinge"],
    ["loss=wgan", "optimizer=rmsprop"],
    ["loss=lsgan", "optimizer=adamw", "reuse_fakes=true"],
    ["loss=minimax", "n_critic=2", "reuse_fakes=true"],
    ["loss=minimax", "split_updates=true"],
    ["loss.label_smoothing=0.1", "inference_fakes=true", "n_critic=2"],
    ["optimizer=sgd", "lr=0.05"],
    ["penalty=r1", "reuse_fakes=true"],
    ["penalty=r1_r2", "n_critic=3", "inference_fakes=true"],
]


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks, latents and images in float64: a larger difference than its rounding means another formula."""
    for module in (manual_module, step_module):
        monkeypatch.setattr(module, "normalise", lambda images: normalise(images).double())
    monkeypatch.setattr(Streams, "latents", lambda *given, latents=Streams.latents: latents(*given).double())


@pytest.mark.slow
@pytest.mark.parametrize("overrides", RECIPES, ids=" ".join)
def test_twenty_steps_lead_to_the_same_weights(overrides: list[str], in_double: None) -> None:
    config = small_config("mlp", *overrides)
    step_config = build_step_config(config)
    state, other = (build_state(config, SPEC, CPU) for _ in range(2))
    for network in (state.generator, state.discriminator, other.generator, other.discriminator):
        network.double()
    found = run_steps(ManualStep(state, step_config), config.n_critic, range(20))
    reference = run_steps(partial(train_step, other, step_config), config.n_critic, range(20))
    assert (state.step, state.images_seen) == (other.step, other.images_seen) == (20, 20 * 16 * config.n_critic)
    torch.testing.assert_close(found, reference, rtol=1e-7, atol=1e-9)  # the gradients' norms are a part of it
    norms = found[3].discriminator[0].gradient_norms
    assert (
        norms is not None and len(norms) == 1 + step_config.split_updates and found[4].generator_gradient_norm is None
    )
    torch.testing.assert_close(state.state_dict(), other.state_dict(), rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_the_article_in_full_size() -> None:
    """The promise for its recipe: after 50 iterations at batch 32 the weights are those of the plain step."""
    config = make_config("experiment=article", "dataset=digits")
    step_config, spec = build_step_config(config), DataSpec((1, 28, 28))
    states = [build_state(config, spec, CPU) for _ in range(2)]
    step_fns = [ManualStep(states[0], step_config), partial(train_step, states[1], step_config)]
    streams = Streams(0)
    for step in range(50):
        images = torch.randint(256, (32, 1, 28, 28), dtype=torch.uint8, generator=streams.at(step, "images"))
        inputs = UpdateInputs(streams.latents(step, "first", 32, 100), Batch(images, None))
        for step_fn in step_fns:
            step_fn([inputs], UpdateInputs(streams.latents(step, "second", 32, 100)))
    for network in ("generator", "discriminator"):
        own, other = (getattr(state, network).state_dict() for state in states)
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)


def test_both_can_train_one_run_in_turn() -> None:
    """A checkpoint of the one can be resumed by the other: the StepFn holds nothing of the state."""
    config = small_config("mlp", "optimizer=keras_adam", "split_updates=true")
    step_config = build_step_config(config)
    mixed, plain = (build_state(config, SPEC, CPU) for _ in range(2))
    run_steps(ManualStep(mixed, step_config), 1, range(5))
    resumed = build_state(config, SPEC, CPU)
    resumed.load_state_dict(copy.deepcopy(mixed.state_dict()))
    run_steps(partial(train_step, resumed, step_config), 1, range(5, 10))
    resumed_again = build_state(config, SPEC, CPU)
    resumed_again.load_state_dict(copy.deepcopy(resumed.state_dict()))
    run_steps(ManualStep(resumed_again, step_config), 1, range(10, 15))
    run_steps(partial(train_step, plain, step_config), 1, range(15))
    torch.testing.assert_close(resumed_again.state_dict(), plain.state_dict(), rtol=1e-3, atol=1e-4)


REFUSED = {
    "conditional=true": "given labels",
    "loss=rpgan": "compares with reals",
    "augment=diffaugment": "changed images",
    "instance_noise=0.1": "changed images",
    "pac=2": "several images at once",
    "spectral_norm=true": "no manual backward pass",
}


@pytest.mark.parametrize("override", REFUSED)
def test_other_recipes_are_left_to_the_plain_step(override: str) -> None:
    config = small_config("mlp", override)
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    with pytest.raises(ValueError, match=REFUSED[override]):
        ManualStep(state, step_config)
    step_fn, line = choose_step(config.fast_path, state, step_config, CPU, warn=pytest.fail)
    assert not isinstance(step_fn, ManualStep)
    assert line.startswith("steps: plain (") and REFUSED[override] in line and "\n" not in line


@pytest.mark.parametrize("model", [model for model in SMALL if model != "mlp"])
def test_other_networks_are_left_to_the_plain_step(model: str) -> None:
    config = small_config(model)
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    step_fn, line = choose_step(config.fast_path, state, step_config, CPU, warn=pytest.fail)
    assert not isinstance(step_fn, ManualStep) and "is no chain of plain layers" in line


def test_it_is_chosen_unless_one_says_otherwise() -> None:
    config = small_config("mlp")
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    assert isinstance(choose_step(config.fast_path, state, step_config, CPU, warn=pytest.fail)[0], ManualStep)
    config = small_config("mlp", "fast_path=plain")
    assert choose_step(config.fast_path, state, step_config, CPU, warn=pytest.fail)[1] == "steps: plain"
    config = small_config("mlp", "fast_path=graph")
    assert (
        choose_step(config.fast_path, state, step_config, CPU, warn=pytest.fail)[1]
        == "steps: plain (CUDA graphs need a CUDA GPU)"
    )
