"""The few settings of a run that a diagnosis depends on."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gan_exp.errors import UserError

# The attributes that are read from the classes which these nodes name; `losses.py` and its like explain them.
ATTRIBUTES = {
    "loss": ("unbounded", "wants_bounded_critic", "saturates", "needs_reals", "weight_bound"),
    "penalty": ("strength",),
    "schedule.lr": ("constant",),
}

Traits = Mapping[str, Mapping[str, Any]]  # attributes by the target that has them


@dataclass(frozen=True)
class RunSettings:
    steps: int = 4000
    generator_lr: float = 2e-4
    discriminator_lr: float = 2e-4
    momentum: float = 0.0  # of the generator's optimizer: Adam's beta1, or SGD's momentum
    has_betas: bool = True  # the optimizers have them
    usual_lr: float = 2e-4  # for this kind of optimizer in GANs
    eps: float = 1.0
    n_critic: int = 1
    batch_size: int = 64
    pac: int = 1
    loss: str = "NonSaturating"  # the name of its class, for messages
    unbounded_loss: bool = False  # it drives D's logits without limit, unless something bounds D
    wants_bounded_critic: bool = False
    saturates: bool = False  # G's gradient vanishes where D is sure
    relativistic: bool = False  # it compares reals with fakes
    weight_bound: float | None = None  # the limit of D's weights, where the loss clips them
    penalised: bool = False
    strength: tuple[str, float] | None = None  # the penalty's key for it, and its value
    spectral_norm: bool = False
    augmented: bool = False
    ema_halflife_kimg: float = 10.0
    lr_schedule: bool = False  # the learning rate is not constant
    points: bool = False  # the data is points of the plane, which can't be augmented

    @property
    def large_lr(self) -> float:
        """GANs train with a twentieth of the usual rate to five times it."""
        return 25 * self.usual_lr

    @property
    def bounded(self) -> bool:
        """Something keeps D's logits from growing without limit."""
        return bool(self.penalised or self.spectral_norm or self.weight_bound)

    @property
    def unbounded_critic(self) -> bool:
        """The Wasserstein loss estimates a distance only if D's gradient is bounded."""
        return self.wants_bounded_critic and not self.bounded


def traits_of(config: Mapping[str, Any], points: bool | None = None) -> Traits:
    """The attributes of the classes that `config` names, which must be trusted, and whether its data is `points`.

    They are written into the run, so that `gan-exp doctor` need not import the classes, and torch with them.
    """
    from gan_exp.config.targets import resolve_target

    traits: dict[str, dict[str, Any]] = {}
    for path, names in ATTRIBUTES.items():
        if target := _target(config, path):
            with suppress(UserError):  # not trusted now
                found = resolve_target(path, target)
                values = {name: getattr(found, name, None) for name in names}
                traits[target] = {name: value for name, value in values.items() if isinstance(value, bool | str)}
    if dataset := _target(config, "dataset"):
        # Only the data itself is sure; of a run that does not say, sets of points are those that can't be resized.
        traits[dataset] = {"points": "resize" not in _node(config, "dataset") if points is None else points}
    return traits


def settings_of(config: Mapping[str, Any], traits: Traits | None = None) -> RunSettings:
    """From a configuration as plain values; keys that are missing in it, or odd, count as the defaults.

    `traits` are those that `traits_of` gave when the run began; None, as of runs of older versions, reads them now.
    """
    if not isinstance(traits, Mapping) or not {_target(config, path) for path in ATTRIBUTES} - {""} <= traits.keys():
        traits = traits_of(config)
    loss, penalty, schedule, dataset = (
        traits.get(_target(config, path), {}) for path in ("loss", "penalty", "schedule.lr", "dataset")
    )
    generator, discriminator = (_node(config, f"optimizer.{name}") for name in ("generator", "discriminator"))
    betas = generator.get("betas") or (generator.get("momentum", 0.0),)
    key = str(penalty.get("strength", ""))
    strength = _node(config, "penalty").get(key)
    lr = config.get("lr", 2e-4)
    return RunSettings(
        steps=config.get("steps", 0),
        generator_lr=generator.get("lr", lr),
        discriminator_lr=discriminator.get("lr", lr),
        momentum=betas[0],
        has_betas="betas" in generator,
        usual_lr=2e-4 if "betas" in generator or "alpha" in generator else 0.02,
        eps=generator.get("eps", 1.0),
        n_critic=config.get("n_critic", 1),
        batch_size=config.get("batch_size", 1),
        pac=config.get("pac", 1),
        loss=_target(config, "loss").rpartition(".")[2],
        unbounded_loss=loss.get("unbounded", False),
        wants_bounded_critic=loss.get("wants_bounded_critic", False),
        saturates=loss.get("saturates", False),
        relativistic=loss.get("needs_reals", False),
        weight_bound=_node(config, "loss").get(str(loss.get("weight_bound", ""))),
        penalised=bool(_target(config, "penalty")),
        strength=(key, strength) if strength else None,
        spectral_norm=config.get("spectral_norm", False),
        augmented=bool(_target(config, "augment")),
        ema_halflife_kimg=config.get("ema_halflife_kimg", 0.0),
        lr_schedule=bool(_target(config, "schedule.lr")) and not schedule.get("constant", False),
        points=dataset.get("points", False),
    )


def _node(config: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    node: Any = config
    for key in path.split("."):
        node = node.get(key) or {}
    return node  # type: ignore[no-any-return]


def _target(config: Mapping[str, Any], path: str) -> str:
    return str(_node(config, path).get("_target_") or "")
