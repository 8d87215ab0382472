"""The article's GAN, written independently in the article's stack (Keras), against `experiment=article`."""

import math
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from builders import count_parameters, make_config
from gan_exp.data.digits import digits
from gan_exp.data.packed import Batches, DataSpec, normalise
from gan_exp.models.mlp import KerasBatchNorm1d
from gan_exp.runtime.randomness import Streams
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepReport
from setups import discriminator_step, generator_step

# Keras hands torch tensors to numpy in a way that numpy 2 is going to drop.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@cache
def keras_module() -> Any:
    """Imported by the process that needs it, since it takes seconds."""
    os.environ["KERAS_BACKEND"] = "torch"  # it looks at the variable when it is imported
    import absl.logging
    import keras

    # Keras brings absl's log handler, which closes the stream it found, where that is pytest's and not stderr itself,
    # as soon as Hydra sets up logging.
    absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
    return keras


ITERATIONS = 30
SPEC = DataSpec((1, 28, 28), num_classes=10)
CPU = torch.device("cpu")


class KerasArticle:
    """Both networks, and the combined model in which the discriminator is not trained."""

    def __init__(self) -> None:
        keras = keras_module()
        layers = keras.layers
        self.generator = keras.Sequential([keras.Input((100,))])
        for width in (256, 512, 1024):
            self.generator.add(layers.Dense(width))
            self.generator.add(layers.LeakyReLU(negative_slope=0.2))
            self.generator.add(layers.BatchNormalization(momentum=0.8))
        self.generator.add(layers.Dense(784, activation="tanh"))
        self.generator.add(layers.Reshape((28, 28, 1)))

        self.discriminator = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Flatten(),
                layers.Dense(512),
                layers.LeakyReLU(negative_slope=0.2),
                layers.Dense(256),
                layers.LeakyReLU(negative_slope=0.2),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        latents = keras.Input((100,))
        self.combined = keras.Model(latents, self.discriminator(self.generator(latents)))
        # One Adam for each network, with separate moments.
        self.discriminator.compile(keras.optimizers.Adam(2e-4, 0.5), "binary_crossentropy", metrics=["accuracy"])
        self.combined.compile(keras.optimizers.Adam(2e-4, 0.5), "binary_crossentropy")

    def iterate(
        self, real_images: np.ndarray, discriminator_latents: np.ndarray, generator_latents: np.ndarray
    ) -> tuple[float, float, float]:
        """One iteration of the article's loop: d_loss, accuracy and g_loss as it prints them."""
        ones, zeros = np.ones((len(real_images), 1)), np.zeros((len(real_images), 1))
        fake_images = self.generator.predict_on_batch(discriminator_latents)
        real_loss, real_accuracy = self._train(self.discriminator, real_images, ones)
        fake_loss, fake_accuracy = self._train(self.discriminator, fake_images, zeros)
        # Keras of 2019 kept the flag as it was at compile(); Keras 3 looks at it in every call.
        self.discriminator.trainable = False
        (g_loss,) = self._train(self.combined, generator_latents, ones)
        self.discriminator.trainable = True
        return (real_loss + fake_loss) / 2, (real_accuracy + fake_accuracy) / 2, g_loss

    @staticmethod
    def _train(model: Any, inputs: np.ndarray, labels: np.ndarray) -> list[float]:
        model.reset_metrics()  # or Keras 3 answers with the mean over all calls so far
        return [float(value) for value in np.atleast_1d(model.train_on_batch(inputs, labels))]


def keras_arrays(network: nn.Module) -> list[np.ndarray]:
    """The network's weights and statistics in Keras' order and layout."""
    arrays: list[Tensor] = []
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            arrays += [layer.weight.T, layer.bias]
        elif isinstance(layer, nn.BatchNorm1d):
            assert layer.running_mean is not None and layer.running_var is not None
            arrays += [layer.weight, layer.bias, layer.running_mean, layer.running_var]
    return [array.detach().numpy().copy() for array in arrays]


def article_state() -> TrainingState:
    return build_state(make_config("experiment=article"), SPEC, CPU)


class Tolerance(NamedTuple):
    """Tolerances: relative for the losses, absolute for weights and statistics."""

    early_loss: float  # in the first ten iterations
    loss: float
    weight: float


# Training amplifies rounding (about tenfold in six iterations), so only float64 shows whether the formulas are equal.
# Measured there after 30 iterations: losses 2.5e-7 apart (they are read as float32), weights and statistics 4.9e-7 at
# most. Torch's own Adam epsilon makes that 2.7e-3 and 3.6e-3, its unbiased running variance 4.8e-2 and 1.7e-2, a
# momentum of 0.8 3e-1 and 2.6e-1. In float32, as it is shipped: losses 3.3e-5 apart after 10 iterations and 8.3e-3
# after 30, weights and statistics 1.7e-3 at most and 4e-4 in the mean.
TOLERANCES = {
    "float64": Tolerance(early_loss=2e-6, loss=2e-6, weight=5e-6),
    "float32": Tolerance(early_loss=1e-3, loss=5e-2, weight=5e-3),
}


@pytest.fixture(params=TOLERANCES)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    config = keras_module().config
    config.set_floatx(request.param)
    yield request.param
    config.set_floatx("float32")


def to_double(state: TrainingState) -> None:
    for network in (state.generator, state.discriminator):
        network.double().register_forward_pre_hook(lambda _, inputs: tuple(value.double() for value in inputs))


@pytest.mark.slow
def test_the_article_trains_as_in_keras(precision: str) -> None:
    tolerance, config = TOLERANCES[precision], make_config("experiment=article")
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    if precision == "float64":
        to_double(state)
    batches = Batches(digits().resized(28, 28), config.batch_size, config.sampling, config.seed)
    streams, running_means = Streams(config.seed), RunningMeans(CPU, None)
    article = KerasArticle()
    article.generator.set_weights(keras_arrays(state.generator))
    article.discriminator.set_weights(keras_arrays(state.discriminator))
    before = keras_arrays(state.generator) + keras_arrays(state.discriminator)

    accuracies = set()
    for step in range(ITERATIONS):
        batch = batches.draw(step)
        d_latents = streams.latents(step, "discriminator/0", config.batch_size, config.latent_dim)
        g_latents = streams.latents(step, "generator", config.batch_size, config.latent_dim)
        report = discriminator_step(state, step_config, batch, d_latents)
        running_means.add(StepReport([report], *generator_step(state, step_config, g_latents)))
        ours = running_means.read()
        real_images = normalise(batch.images).permute(0, 2, 3, 1).numpy()
        d_loss, accuracy, g_loss = article.iterate(real_images, d_latents.numpy(), g_latents.numpy())
        allowed = tolerance.early_loss if step < 10 else tolerance.loss
        assert ours["loss/discriminator"] == pytest.approx(d_loss, rel=allowed), step
        assert ours["accuracy/discriminator"] == pytest.approx(accuracy, abs=1e-6), step
        assert ours["loss/generator"] == pytest.approx(g_loss, rel=allowed), step
        accuracies.add(accuracy)
    assert len(accuracies) > 5  # the networks do learn

    after = keras_arrays(state.generator) + keras_arrays(state.discriminator)
    theirs = article.generator.get_weights() + article.discriminator.get_weights()
    for index, (start, our, their) in enumerate(zip(before, after, theirs, strict=True)):
        if precision == "float64":
            assert np.abs(our - start).max() > 100 * tolerance.weight, index  # it has moved far beyond the tolerance
        np.testing.assert_allclose(our, their, rtol=0, atol=tolerance.weight, err_msg=str(index))


def test_the_networks_are_of_the_articles_size() -> None:
    state, article = article_state(), KerasArticle()
    assert count_parameters(state.discriminator) == article.discriminator.count_params() == 533_505
    statistics = 2 * (256 + 512 + 1024)  # Keras counts BatchNorm's moving averages as parameters
    assert count_parameters(state.generator) + statistics == article.generator.count_params() == 1_493_520


def test_the_start_is_drawn_from_the_same_distributions_as_in_keras() -> None:
    state, article = article_state(), KerasArticle()
    for ours, theirs in ((state.generator, article.generator), (state.discriminator, article.discriminator)):
        for our, their in zip(keras_arrays(ours), theirs.get_weights(), strict=True):
            assert our.shape == their.shape
            if our.ndim == 1:  # biases and BatchNorm
                np.testing.assert_array_equal(our, their)
                continue
            limit = math.sqrt(6 / sum(our.shape))
            assert np.abs(our).max() <= limit
            assert stats.kstest(our.ravel(), stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3
    for layer in state.generator.modules():
        if isinstance(layer, nn.LeakyReLU):
            assert layer.negative_slope == 0.2
        if isinstance(layer, KerasBatchNorm1d):
            assert layer.eps == keras_module().layers.BatchNormalization().epsilon
