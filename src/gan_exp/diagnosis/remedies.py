"""Which overrides to try next, from what the run was configured with: the likeliest first, two of them."""

from gan_exp.diagnosis.facts import Facts

MOST = 2


def starving(facts: Facts) -> tuple[str, ...]:
    """G learns next to nothing."""
    found = []
    if _slow(facts.generator_lr, facts) or facts.generator_lr * 10 < facts.discriminator_lr:
        found.append(f"optimizer.generator.lr={facts.usual_lr:g}")
    return _first(found + list(outplayed(facts)))


def idle(facts: Facts) -> tuple[str, ...]:
    """D learns next to nothing."""
    found = []
    if _slow(facts.discriminator_lr, facts):
        found.append(f"optimizer.discriminator.lr={facts.usual_lr:g}")
    elif facts.generator_lr > 10 * facts.discriminator_lr:
        found.append(f"optimizer.generator.lr={facts.discriminator_lr:g}")
    found += usual_lr(facts)
    if facts.unbounded_critic:
        found.append("penalty=r1")
    if facts.n_critic == 1:
        found.append("n_critic=2")
    found.append(f"optimizer.discriminator.lr={facts.discriminator_lr * 4:g}")
    return _first(found)


def outplayed(facts: Facts) -> tuple[str, ...]:
    """D is too strong for G."""
    found = list(usual_lr(facts))
    if facts.discriminator_lr > 2 * facts.generator_lr:
        if _slow(facts.generator_lr, facts):
            found.append(f"optimizer.generator.lr={facts.usual_lr:g}")
        else:
            found.append(f"optimizer.discriminator.lr={facts.generator_lr:g}")
    if facts.loss == "Minimax":
        found.append("loss=non_saturating")
    if facts.n_critic > 1 and facts.loss != "Wasserstein":
        found.append("n_critic=1")
    found.append(stronger_penalty(facts))
    found.append(f"optimizer.discriminator.lr={facts.discriminator_lr / 4:g}")
    return _first(found)


def collapsed(facts: Facts) -> tuple[str, ...]:
    """G gives the same few images."""
    found = list(usual_lr(facts))
    if facts.generator_lr > 2 * facts.discriminator_lr:
        found.append(f"optimizer.generator.lr={facts.discriminator_lr:g}")
    if facts.loss == "Minimax":
        found.append("loss=non_saturating")
    if facts.loss != "RelativisticPairing" or not facts.penalty:
        found.append("loss=rpgan penalty=r1_r2")
    else:
        found.append(stronger_penalty(facts))
    if facts.pac == 1 and facts.batch_size % 2 == 0:
        found.append("pac=2")
    return _first(found)


def swinging(facts: Facts) -> tuple[str, ...]:
    """The two chase each other."""
    found = list(usual_lr(facts))
    if not facts.bounded:
        found.append("penalty=r1")
    if facts.betas and facts.momentum > 0.5:
        found.append("optimizer.generator.betas=[0.0,0.99] optimizer.discriminator.betas=[0.0,0.99]")
    found.append(slower(facts))
    if facts.average == 0:
        found.append("ema_halflife_kimg=10")
    found.append(stronger_penalty(facts))
    return _first(found)


def remembered(facts: Facts) -> tuple[str, ...]:
    """D or G has learned the training images by heart."""
    found = [] if facts.augmented or facts.points else ["augment=diffaugment"]
    found.append(stronger_penalty(facts))
    found.append(f"steps={max(facts.steps // 2, 1)}")
    return _first(found)


def ripe(facts: Facts) -> tuple[str, ...]:
    """Nothing gets better any more."""
    found = [] if facts.scheduled else ["schedule=cosine"]
    return _first([*found, slower(facts)])


def doubtful(facts: Facts) -> tuple[str, ...]:
    """Settings that can't last, whatever they have led to so far; nothing where there are none."""
    found = list(usual_lr(facts))
    if facts.unbounded_critic:
        found.append("penalty=wgan_gp loss.clip=null")
    return _first(found)


def usual_lr(facts: Facts) -> tuple[str, ...]:
    """Where a learning rate is far too large, the usual one."""
    usual = facts.usual_lr
    rates = {"generator": facts.generator_lr, "discriminator": facts.discriminator_lr}
    large = [network for network, lr in rates.items() if lr > facts.large_lr]
    if len(large) == 2 and facts.generator_lr == facts.discriminator_lr:
        return (f"lr={usual:g}",)
    return (" ".join(f"optimizer.{network}.lr={usual:g}" for network in large),) if large else ()


def slower(facts: Facts) -> str:
    """A quarter of both learning rates."""
    if facts.generator_lr == facts.discriminator_lr:
        return f"lr={facts.generator_lr / 4:g}"
    return (
        f"optimizer.generator.lr={facts.generator_lr / 4:g} optimizer.discriminator.lr={facts.discriminator_lr / 4:g}"
    )


def stronger_penalty(facts: Facts) -> str:
    if not facts.penalty:
        return "penalty=r1"
    key, strength = facts.strength or ("", 0.0)
    return f"penalty.{key}={strength * 10:g}" if key else "penalty=r1_r2"


def _slow(lr: float, facts: Facts) -> bool:
    return lr < facts.usual_lr / 20


def _first(found: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:MOST]
