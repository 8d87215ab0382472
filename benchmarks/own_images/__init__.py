"""A training step of `experiment=folder_many` beside those of FastGAN's and lightweight-gan's networks."""
