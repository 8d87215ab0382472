"""Architectures: a generator [N, latent_dim] -> [N, C, H, W] in [-1, 1], a discriminator [N, C, H, W] -> logits [N]."""
