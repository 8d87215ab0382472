"""Overrides to try, from the settings of the run: for each trouble at most two, the likelier one first."""

from gan_exp.diagnosis.settings import RunSettings

MOST = 2


def generator_not_learning(settings: RunSettings) -> tuple[str, ...]:
    found = []
    if _slow(settings.generator_lr, settings) or settings.generator_lr * 10 < settings.discriminator_lr:
        found.append(f"optimizer.generator.lr={settings.usual_lr:g}")
    return _first(found + list(discriminator_wins(settings)))


def discriminator_not_learning(settings: RunSettings) -> tuple[str, ...]:
    found = []
    if _slow(settings.discriminator_lr, settings):
        found.append(f"optimizer.discriminator.lr={settings.usual_lr:g}")
    elif settings.generator_lr > 10 * settings.discriminator_lr:
        found.append(f"optimizer.generator.lr={settings.discriminator_lr:g}")
    found += usual_lr(settings)
    if settings.unbounded_critic:
        found.append("penalty=r1")
    if settings.n_critic == 1:
        found.append("n_critic=2")
    found.append(f"optimizer.discriminator.lr={settings.discriminator_lr * 4:g}")
    return _first(found)


def discriminator_wins(settings: RunSettings) -> tuple[str, ...]:
    found = list(usual_lr(settings))
    if settings.discriminator_lr > 2 * settings.generator_lr:
        if _slow(settings.generator_lr, settings):
            found.append(f"optimizer.generator.lr={settings.usual_lr:g}")
        else:
            found.append(f"optimizer.discriminator.lr={settings.generator_lr:g}")
    if settings.saturates:
        found.append("loss=non_saturating")
    if settings.n_critic > 1 and not settings.wants_bounded_critic:
        found.append("n_critic=1")
    found.append(stronger_penalty(settings))
    found.append(f"optimizer.discriminator.lr={settings.discriminator_lr / 4:g}")
    return _first(found)


def generator_collapse(settings: RunSettings) -> tuple[str, ...]:
    found = list(usual_lr(settings))
    if settings.generator_lr > 2 * settings.discriminator_lr:
        found.append(f"optimizer.generator.lr={settings.discriminator_lr:g}")
    if settings.saturates:
        found.append("loss=non_saturating")
    if not settings.relativistic or not settings.penalised:
        found.append("loss=rpgan penalty=r1_r2")
    else:
        found.append(stronger_penalty(settings))
    if settings.pac == 1 and settings.batch_size % 2 == 0:
        found.append("pac=2")
    return _first(found)


def oscillation(settings: RunSettings) -> tuple[str, ...]:
    found = list(usual_lr(settings))
    if not settings.bounded:
        found.append("penalty=r1")
    if settings.has_betas and settings.momentum > 0.5:
        found.append("optimizer.generator.betas=[0.0,0.99] optimizer.discriminator.betas=[0.0,0.99]")
    found.append(slower(settings))
    if settings.ema_halflife_kimg == 0:
        found.append("ema_halflife_kimg=10")
    found.append(stronger_penalty(settings))
    return _first(found)


def memorising(settings: RunSettings) -> tuple[str, ...]:
    found = [] if settings.augmented or settings.points else ["augment=diffaugment"]
    found.append(stronger_penalty(settings))
    found.append(f"steps={max(settings.steps // 2, 1)}")
    return _first(found)


def stalled(settings: RunSettings) -> tuple[str, ...]:
    found = [] if settings.lr_schedule else ["schedule=cosine"]
    return _first([*found, slower(settings)])


def unclear(settings: RunSettings) -> tuple[str, ...]:
    """For settings that can't last, however good the samples are now; empty if there are none."""
    found = list(usual_lr(settings))
    if settings.unbounded_critic:
        found.append("penalty=wgan_gp loss.clip=null")
    return _first(found)


def usual_lr(settings: RunSettings) -> tuple[str, ...]:
    """The usual learning rate, if one is far too large."""
    usual = settings.usual_lr
    rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
    large = [network for network, lr in rates.items() if lr > settings.large_lr]
    if len(large) == 2 and settings.generator_lr == settings.discriminator_lr:
        return (f"lr={usual:g}",)
    return (" ".join(f"optimizer.{network}.lr={usual:g}" for network in large),) if large else ()


def slower(settings: RunSettings) -> str:
    """A quarter of both learning rates."""
    generator_lr, discriminator_lr = settings.generator_lr / 4, settings.discriminator_lr / 4
    if generator_lr == discriminator_lr:
        return f"lr={generator_lr:g}"
    return f"optimizer.generator.lr={generator_lr:g} optimizer.discriminator.lr={discriminator_lr:g}"


def stronger_penalty(settings: RunSettings) -> str:
    if not settings.penalised:
        return "penalty=r1"
    key, strength = settings.strength or ("", 0.0)
    return f"penalty.{key}={strength * 10:g}" if key else "penalty=r1_r2"


def _slow(lr: float, settings: RunSettings) -> bool:
    return lr < settings.usual_lr / 20


def _first(found: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:MOST]
