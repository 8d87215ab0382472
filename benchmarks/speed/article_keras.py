"""The article's own code (Keras, 2019), rewritten in Keras 3 from its description; runs in the Keras environment.

`train_on_batch` on reals, then on fakes that the generator predicts, then on the combined model in which D stands
still; losses printed each iteration, a 5x5 grid of samples by matplotlib every 200.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any

import keras
import matplotlib
import numpy as np
from keras import layers

from benchmarks.speed.data import load_images
from benchmarks.speed.worker import Serve

matplotlib.use("Agg")
from matplotlib import pyplot as plt

LATENT_DIM = 100
SAMPLE_EVERY = 200
Predict = Callable[[np.ndarray], np.ndarray]


def build_generator() -> keras.Model:
    model = keras.Sequential([keras.Input((LATENT_DIM,))])
    for width in (256, 512, 1024):
        model.add(layers.Dense(width))
        model.add(layers.LeakyReLU(0.2))
        model.add(layers.BatchNormalization(momentum=0.8))
    model.add(layers.Dense(784, activation="tanh"))
    model.add(layers.Reshape((28, 28, 1)))
    return model


def build_discriminator() -> keras.Model:
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for width in (512, 256):
        model.add(layers.Dense(width))
        model.add(layers.LeakyReLU(0.2))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


class ArticleGAN:
    def __init__(self, images: np.ndarray, batch_size: int, predict: str) -> None:
        """`predict`: the article's "predict", or "predict_on_batch", which avoids the set-up of a data pipeline."""
        self.images = np.expand_dims(images.astype(np.float32) / 127.5 - 1.0, axis=3)
        self.batch_size = batch_size
        self.iteration = 0
        self.generator, self.discriminator = build_generator(), build_discriminator()
        self.predict: Predict = self.generator.predict_on_batch
        if predict == "predict":
            self.predict = lambda noise: self.generator.predict(noise, verbose=0)
        adam = lambda: keras.optimizers.Adam(2e-4, 0.5)  # noqa: E731  (one for each model)
        self.discriminator.compile(loss="binary_crossentropy", optimizer=adam(), metrics=["accuracy"])
        # Keras 3 looks at `trainable` when it trains, not when it compiles: D must be trainable whenever it is trained
        # itself and frozen whenever the combined model is. `check` makes sure of it.
        latents = keras.Input((LATENT_DIM,))
        self.combined = keras.Model(latents, self.discriminator(self.generator(latents)))
        self.combined.compile(loss="binary_crossentropy", optimizer=adam())
        self.valid, self.fake = np.ones((batch_size, 1)), np.zeros((batch_size, 1))

    def train_discriminator(self) -> tuple[Any, Any]:
        indices = np.random.randint(0, len(self.images), self.batch_size)
        noise = np.random.normal(0, 1, (self.batch_size, LATENT_DIM))
        fake_images = self.predict(noise)
        self.discriminator.trainable = True
        real = self.discriminator.train_on_batch(self.images[indices], self.valid)
        fake = self.discriminator.train_on_batch(fake_images, self.fake)
        return real, fake

    def train_generator(self) -> Any:
        noise = np.random.normal(0, 1, (self.batch_size, LATENT_DIM))
        self.discriminator.trainable = False
        return self.combined.train_on_batch(noise, self.valid)

    def run(self, count: int) -> None:
        for _ in range(count):
            real, fake = self.train_discriminator()
            discriminator_loss = 0.5 * np.add(real, fake)
            generator_loss = self.train_generator()
            print(
                f"{self.iteration} [D loss: {discriminator_loss[0]:f}, acc.: {100 * discriminator_loss[1]:.2f}%] "
                f"[G loss: {np.ravel(generator_loss)[0]:f}]"
            )
            if self.iteration % SAMPLE_EVERY == 0:
                self.sample()
            self.iteration += 1

    def sample(self) -> None:
        images = 0.5 * self.predict(np.random.normal(0, 1, (25, LATENT_DIM))) + 0.5
        figure, axes = plt.subplots(5, 5)
        for axis, image in zip(axes.flat, images, strict=True):
            axis.imshow(image[:, :, 0], cmap="gray")
            axis.axis("off")
        figure.savefig(f"{self.iteration}.png")
        plt.close(figure)

    def check(self) -> None:
        """Raises AssertionError unless each network changes in its own updates and in no other's."""
        networks = {"discriminator": self.discriminator, "generator": self.generator}
        for _ in range(2):  # the first call traces, the second repeats what was traced
            for train, learns in ((self.train_discriminator, "discriminator"), (self.train_generator, "generator")):
                before = {name: _weights(network) for name, network in networks.items()}
                train()
                for name, network in networks.items():
                    pairs = zip(before[name], _weights(network), strict=True)
                    changed = any(not np.array_equal(old, new) for old, new in pairs)
                    assert changed == (name == learns), f"{name} in {train.__name__}: {changed=}"


def _weights(network: keras.Model) -> list[np.ndarray]:
    """Without BatchNorm's moving averages."""
    averages = {id(variable) for variable in network.non_trainable_variables if "moving" in variable.name}
    return [np.array(variable) for variable in network.variables if id(variable) not in averages]


def article(serve: Serve, threads: int, predict: str, root: str | None, batch_size: int = 32) -> None:
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
    warnings.filterwarnings("error", message=".*trainable.*")  # what Keras says where a model would learn nothing
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    gan = ArticleGAN(load_images(root=root), batch_size, predict)
    gan.check()
    serve(gan.run)
