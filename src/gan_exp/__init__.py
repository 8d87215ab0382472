"""gan-exp: train, measure and compare GANs from one config-driven command line."""

__version__ = "0.1.0"
