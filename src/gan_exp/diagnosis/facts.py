"""The few values of a configuration that a diagnosis needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """`loss` and `penalty` are names of classes, "" for none; `strength` is the penalty's key and its value."""

    steps: int = 4000
    generator_lr: float = 2e-4
    discriminator_lr: float = 2e-4
    momentum: float = 0.0  # of the generator's optimizer: Adam's beta1, or SGD's momentum
    betas: bool = True  # the optimizer has some
    usual_lr: float = 2e-4  # of this optimizer in GANs
    eps: float = 1.0
    n_critic: int = 1
    batch_size: int = 64
    pac: int = 1
    loss: str = "NonSaturating"
    clip: float | None = None
    penalty: str = ""
    strength: tuple[str, float] | None = None
    spectral_norm: bool = False
    augmented: bool = False
    average: float = 10.0  # half-life of the averaged generator in thousands of images
    scheduled: bool = False  # the learning rate falls
    points: bool = False  # of the plane: no augmentation

    @property
    def large_lr(self) -> float:
        """GANs train with a twentieth of the usual rate to five times it."""
        return 25 * self.usual_lr

    @property
    def bounded(self) -> bool:
        """Something keeps D's logits from growing without end."""
        return bool(self.penalty or self.spectral_norm or self.clip)

    @property
    def unbounded_critic(self) -> bool:
        """The Wasserstein loss means a distance only of a critic whose slope is bounded."""
        return self.loss == "Wasserstein" and not self.bounded


def facts_of(config: Mapping[str, Any]) -> Facts:
    """From a configuration as plain values; what an old or a foreign one lacks is taken as the default."""

    def group(name: str) -> Mapping[str, Any]:
        return config.get(name) or {}

    def target(node: Mapping[str, Any]) -> str:
        return str(node.get("_target_") or "").rpartition(".")[2]

    generator, discriminator = (group("optimizer").get(name) or {} for name in ("generator", "discriminator"))
    penalty = group("penalty")
    key = next((key for key in ("gamma", "weight") if penalty.get(key)), None)
    betas = generator.get("betas") or (generator.get("momentum", 0.0),)
    base = config.get("lr", 2e-4)
    return Facts(
        steps=config.get("steps", 0),
        generator_lr=generator.get("lr", base),
        discriminator_lr=discriminator.get("lr", base),
        momentum=betas[0],
        betas="betas" in generator,
        usual_lr=2e-4 if "betas" in generator or "alpha" in generator else 0.02,
        eps=generator.get("eps", 1.0),
        n_critic=config.get("n_critic", 1),
        batch_size=config.get("batch_size", 1),
        pac=config.get("pac", 1),
        loss=target(group("loss")),
        clip=group("loss").get("clip"),
        penalty=target(penalty),
        strength=None if key is None else (key, penalty[key]),
        spectral_norm=config.get("spectral_norm", False),
        augmented=bool(target(group("augment"))),
        average=config.get("ema_halflife_kimg", 0.0),
        scheduled=target(group("schedule").get("lr") or {}) != "",
        points=target(group("dataset")) in ("ring", "grid"),
    )
