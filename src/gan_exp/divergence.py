"""Why a game is no longer finite, as far as its configuration and its last healthy numbers tell."""

from collections.abc import Mapping

from gan_exp.config import Config

LARGE_LR = 5e-3  # GANs train with 1e-5 to 1e-3
LARGE_NORM = 1e3  # of a gradient; healthy games stay below 100
UNBOUNDED = ("Hinge", "LeastSquares", "Wasserstein", "RelativisticPairing")  # with D's logits


def likely_cause(config: Config, metrics: Mapping[str, float]) -> tuple[str, str]:
    """The cause and the override to try, each as part of a sentence.

    `metrics` are the last finite ones by tag, empty where there are none.
    """
    for network in ("discriminator", "generator"):
        lr = config.optimizer.model_dump()[network].get("lr", 0.0)
        if lr > LARGE_LR:
            return f"optimizer.{network}.lr={lr:g} is far above what GANs train with (1e-5 to 1e-3)", "lr=2e-4"
    penalty = next((value for tag, value in metrics.items() if tag.startswith("penalty/")), 0.0)
    if penalty > LARGE_NORM:
        weight = next((key for key in ("gamma", "weight") if key in config.penalty), None)
        smaller = f"penalty.{weight}={config.penalty[weight] / 10:g}" if weight else "penalty=none"
        return f"the penalty grew to {penalty:.3g}", f"{smaller} or a smaller lr"
    bounded = config.penalty.get("_target_") or config.spectral_norm or config.loss.get("clip")
    loss = str(config.loss["_target_"]).rpartition(".")[2]
    if loss in UNBOUNDED and not bounded:
        return f"nothing bounds D's logits, and the loss {loss} grows with them", "penalty=r1 or spectral_norm=true"
    for network in ("discriminator", "generator"):
        norm = metrics.get(f"gradient_norm/{network}", 0.0)
        if norm > LARGE_NORM:
            return f"the {network}'s gradients had grown to a norm of {norm:.3g}", "a smaller lr, or penalty=r1"
    if config.optimizer.model_dump()["generator"].get("eps", 1.0) < 1e-12:
        return "the optimizer's eps is so small that it divides by nothing", "optimizer.generator.eps=1e-8"
    return "the learning rate is too large for this game", "a smaller lr, or penalty=r1"
