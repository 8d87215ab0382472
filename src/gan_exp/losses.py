"""All losses side by side, each with its formula and its paper.

In the formulas s is softplus, D(x) the logit of a real image and D(x~) that of a fake one. Methods take logits [N] and
return one value per sample [N]; the training step takes the mean. A loss has `discriminator` and `generator`, and
`needs_reals`, whether `generator` needs the logits of reals. It may also have

- `real` and `fake`, where D's loss is the sum of a term for reals and a term for fakes (`split_updates` needs them);
- `boundary`, the logit of an image that is as likely real as fake, from which D's accuracy and ADA count; None where
  only differences of logits have a meaning;
- `balance`, both losses where D can't distinguish fakes from reals, as a reference for their curves;
- `constrain_weights`, which the training step calls after each of D's updates, and `weight_bound`, the name of the
  argument with the bound (None as its value: no bound);
- `unbounded`: it drives D's logits without limit unless something bounds D;
- `wants_bounded_critic`: its value is a distance only where D's gradient is bounded;
- `saturates`: G's gradient vanishes where D is confident.

NonSaturating and Minimax also give their gradients with respect to the logits, per sample, which the manual backward
pass uses (`training/acceleration/manual.py`). Other losses don't need them.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from gan_exp.ranges import Fraction, PositiveFloat


class Balance(NamedTuple):
    """Both mean losses where D can't distinguish fakes from reals and gives all images the logit that is best for it.

    None if no single logit is best, so that the loss is not determined.
    """

    discriminator: float | None = None
    generator: float | None = None


class NonSaturating:
    """Goodfellow et al. 2014, "Generative Adversarial Nets", section 3: the loss with which the paper trains G.

    D: s(-D(x)) + s(D(x~))    G: s(-D(x~))

    `label_smoothing` a: the target for reals is 1 - a instead of 1 (one-sided; Salimans et al. 2016, section 3.4).
    """

    needs_reals = False
    boundary: float | None = 0.0

    def __init__(self, label_smoothing: Fraction = 0.0) -> None:
        self.label_smoothing = label_smoothing
        real, fake = (1 - label_smoothing) / 2, (1 + label_smoothing) / 2  # D's best constant probabilities
        discriminator = -2 * (real * math.log(real) + fake * math.log(fake))
        self.balance = Balance(discriminator, -math.log(real))
        self.boundary = math.log(real / fake)

    def real(self, real_logits: Tensor) -> Tensor:
        # (1 - a) s(-D) + a s(D), since s(D) = s(-D) + D
        return softplus(-real_logits) + self.label_smoothing * real_logits

    def fake(self, fake_logits: Tensor) -> Tensor:
        return softplus(fake_logits)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return self.real(real_logits) + self.fake(fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits)

    def real_gradient(self, real_logits: Tensor) -> Tensor:
        return real_logits.sigmoid().sub_(1 - self.label_smoothing)

    def fake_gradient(self, fake_logits: Tensor) -> Tensor:
        return fake_logits.sigmoid()

    def generator_gradient(self, fake_logits: Tensor) -> Tensor:
        return fake_logits.sigmoid().sub_(1)


class Minimax(NonSaturating):
    """Goodfellow et al. 2014, equation 1, unchanged: G's gradient vanishes (saturates) where D is confident.

    D: s(-D(x)) + s(D(x~))    G: -s(D(x~))
    """

    saturates = True

    def __init__(self, label_smoothing: Fraction = 0.0) -> None:
        super().__init__(label_smoothing)
        self.balance = self.balance._replace(generator=math.log((1 + label_smoothing) / 2))

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -softplus(fake_logits)

    def generator_gradient(self, fake_logits: Tensor) -> Tensor:
        return fake_logits.sigmoid().neg_()


class Hinge:
    """Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, "Spectral Normalization for GANs", equations 16 and 17.

    D: relu(1 - D(x)) + relu(1 + D(x~))    G: -D(x~)
    """

    needs_reals = False
    unbounded = True
    boundary = 0.0
    balance = Balance(2.0)  # every constant in [-1, 1] is best for D, and G's loss depends on which it is

    def real(self, real_logits: Tensor) -> Tensor:
        return relu(1 - real_logits)

    def fake(self, fake_logits: Tensor) -> Tensor:
        return relu(1 + fake_logits)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return self.real(real_logits) + self.fake(fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class LeastSquares:
    """Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9 (a = 0, b = c = 1).

    D: (D(x) - 1)^2 / 2 + D(x~)^2 / 2    G: (D(x~) - 1)^2 / 2

    `label_smoothing` a: D's target for reals is 1 - a.
    """

    needs_reals = False
    unbounded = True
    boundary = 0.5

    def __init__(self, label_smoothing: Fraction = 0.0) -> None:
        self.label_smoothing = label_smoothing
        middle = (1 - label_smoothing) / 2  # half-way between D's targets
        self.balance = Balance(middle**2, (middle - 1) ** 2 / 2)
        self.boundary = middle

    def real(self, real_logits: Tensor) -> Tensor:
        return (real_logits - (1 - self.label_smoothing)).square() / 2

    def fake(self, fake_logits: Tensor) -> Tensor:
        return fake_logits.square() / 2

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return self.real(real_logits) + self.fake(fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return (fake_logits - 1).square() / 2


class Wasserstein:
    """Arjovsky et al. 2017, "Wasserstein GAN", algorithm 1.

    D: D(x~) - D(x)    G: -D(x~)

    `clip`: D's weights are clamped to [-clip, clip] after each of its updates. None with a gradient penalty instead.
    """

    needs_reals = False
    unbounded = True
    wants_bounded_critic = True
    weight_bound = "clip"
    boundary = None
    balance = Balance(0.0)  # for every constant; G's loss is minus that constant

    def __init__(self, clip: PositiveFloat | None = 0.01) -> None:
        self.clip = clip

    @torch.no_grad()
    def constrain_weights(self, parameters: Iterable[nn.Parameter]) -> None:
        """Clamp D's parameters; the step calls it after each of D's updates."""
        if self.clip is not None:
            for parameter in parameters:
                parameter.clamp_(-self.clip, self.clip)

    def real(self, real_logits: Tensor) -> Tensor:
        return -real_logits

    def fake(self, fake_logits: Tensor) -> Tensor:
        return fake_logits

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return self.real(real_logits) + self.fake(fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class RelativisticPairing:
    """Jolicoeur-Martineau 2018, "The relativistic discriminator"; Huang et al. 2024 (R3GAN), equation 2.

    Each real image is paired with one fake image of the batch.

    D: s(D(x~) - D(x))    G: s(D(x) - D(x~))
    """

    needs_reals = True
    unbounded = True
    boundary = None
    balance = Balance(math.log(2), math.log(2))

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(fake_logits - real_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        assert real_logits is not None
        return softplus(real_logits - fake_logits)
