"""Augmentation of the images that the discriminator sees, real and fake alike, differentiable twice in the images."""

from gan_exp.augment.ada import ADA, Pipeline
from gan_exp.augment.diffaugment import DiffAugment
from gan_exp.augment.probability import Adaptive, GivenP

__all__ = ["ADA", "Adaptive", "DiffAugment", "GivenP", "Pipeline"]
