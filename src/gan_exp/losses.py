"""Every loss of the game, one beside the other: comparing the formulas is the documentation.

With s = softplus, D(x) the logit of a real image and D(x~) that of a fake one. All return per-sample values [N]; the
step takes the mean. `real` and `fake` are the two terms of the discriminator's loss, `generator` is the generator's.
"""

from torch import Tensor
from torch.nn.functional import relu, softplus


class NonSaturating:
    """Goodfellow et al. 2014, "Generative Adversarial Nets", section 3 (the loss that the paper trains G with).

    D: s(-D(x)) + s(D(x~))    G: s(-D(x~))
    """

    def real(self, real_logits: Tensor) -> Tensor:
        return softplus(-real_logits)

    def fake(self, fake_logits: Tensor) -> Tensor:
        return softplus(fake_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits)


class Hinge:
    """Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, "Spectral Normalization for GANs", equations 16 and 17.

    D: relu(1 - D(x)) + relu(1 + D(x~))    G: -D(x~)
    """

    def real(self, real_logits: Tensor) -> Tensor:
        return relu(1 - real_logits)

    def fake(self, fake_logits: Tensor) -> Tensor:
        return relu(1 + fake_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class LeastSquares:
    """Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9 (a = 0, b = c = 1).

    D: (D(x) - 1)^2 / 2 + D(x~)^2 / 2    G: (D(x~) - 1)^2 / 2
    """

    def real(self, real_logits: Tensor) -> Tensor:
        return (real_logits - 1).square() / 2

    def fake(self, fake_logits: Tensor) -> Tensor:
        return fake_logits.square() / 2

    def generator(self, fake_logits: Tensor) -> Tensor:
        return (fake_logits - 1).square() / 2
