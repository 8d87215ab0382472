"""Every loss against its closed form and its derivatives, in float64."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from gan_exp.losses import Hinge, LeastSquares, Minimax, NonSaturating, RelativisticPairing, Wasserstein
from gan_exp.training.step_types import StepConfig

LOGITS = [-30.0, -3.0, -1.5, -0.25, 0.0, 0.5, 2.0, 7.0, 30.0]


def s(x: float) -> float:
    """softplus by its definition"""
    return math.log1p(math.exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# (term, closed form, its derivative)
TERMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[float], float], Callable[[float], float]]] = {
    "non_saturating real": (NonSaturating().real, lambda x: s(-x), lambda x: sigmoid(x) - 1),
    "non_saturating fake": (NonSaturating().fake, s, sigmoid),
    "non_saturating generator": (partial(NonSaturating().generator, None), lambda x: s(-x), lambda x: sigmoid(x) - 1),
    "minimax real": (Minimax().real, lambda x: s(-x), lambda x: sigmoid(x) - 1),
    "minimax fake": (Minimax().fake, s, sigmoid),
    "minimax generator": (partial(Minimax().generator, None), lambda x: -s(x), lambda x: -sigmoid(x)),
    "smoothed real": (  # cross-entropy with the target 0.7
        NonSaturating(label_smoothing=0.3).real,
        lambda x: 0.7 * s(-x) + 0.3 * s(x),
        lambda x: sigmoid(x) - 0.7,
    ),
    "hinge real": (Hinge().real, lambda x: max(0, 1 - x), lambda x: -1.0 if x < 1 else 0.0),
    "hinge fake": (Hinge().fake, lambda x: max(0, 1 + x), lambda x: 1.0 if x > -1 else 0.0),
    "hinge generator": (partial(Hinge().generator, None), lambda x: -x, lambda x: -1.0),
    "lsgan real": (LeastSquares().real, lambda x: (x - 1) ** 2 / 2, lambda x: x - 1),
    "lsgan fake": (LeastSquares().fake, lambda x: x**2 / 2, lambda x: x),
    "lsgan generator": (partial(LeastSquares().generator, None), lambda x: (x - 1) ** 2 / 2, lambda x: x - 1),
    "lsgan smoothed real": (LeastSquares(label_smoothing=0.3).real, lambda x: (x - 0.7) ** 2 / 2, lambda x: x - 0.7),
    "wgan real": (Wasserstein().real, lambda x: -x, lambda x: -1.0),
    "wgan fake": (Wasserstein().fake, lambda x: x, lambda x: 1.0),
    "wgan generator": (partial(Wasserstein().generator, None), lambda x: -x, lambda x: -1.0),
    # against a real logit of 1.5
    "rpgan discriminator": (
        lambda x: RelativisticPairing().discriminator(torch.full_like(x, 1.5), x),
        lambda x: s(x - 1.5),
        lambda x: sigmoid(x - 1.5),
    ),
    "rpgan generator": (
        lambda x: RelativisticPairing().generator(torch.full_like(x, 1.5), x),
        lambda x: s(1.5 - x),
        lambda x: -sigmoid(1.5 - x),
    ),
}


@pytest.mark.parametrize("name", TERMS)
def test_each_term_is_its_closed_form(name: str) -> None:
    term, formula, derivative = TERMS[name]
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    values = term(logits)
    assert values.shape == logits.shape  # per sample; the step takes the mean
    # softplus is linear beyond 20 in torch: off by 2e-9 there.
    torch.testing.assert_close(values.tolist(), [float(formula(x)) for x in LOGITS], rtol=1e-12, atol=3e-9)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    torch.testing.assert_close(gradient.tolist(), [float(derivative(x)) for x in LOGITS], rtol=1e-9, atol=3e-9)


@pytest.mark.parametrize("name", TERMS)
def test_first_and_second_derivatives_are_those_of_finite_differences(name: str) -> None:
    term = TERMS[name][0]
    logits = torch.tensor([-2.6, -0.4, 0.3, 1.7], dtype=torch.float64, requires_grad=True)  # off hinge's kinks
    assert gradcheck(term, (logits,))
    assert gradgradcheck(term, (logits,))


@pytest.mark.parametrize("name", TERMS)
def test_extreme_logits_stay_finite(name: str) -> None:
    logits = torch.tensor([-1000.0, 1000.0], requires_grad=True)  # float32, as in training
    values = TERMS[name][0](logits)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert values.isfinite().all() and gradient.isfinite().all()


def test_non_saturating_is_cross_entropy_with_the_labels_real_and_fake() -> None:
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    cross_entropy = torch.nn.functional.binary_cross_entropy
    ones, zeros, probabilities = torch.ones_like(logits), torch.zeros_like(logits), logits.sigmoid()
    loss = NonSaturating()
    torch.testing.assert_close(loss.real(logits), cross_entropy(probabilities, ones, reduction="none"))
    torch.testing.assert_close(loss.fake(logits), cross_entropy(probabilities, zeros, reduction="none"))
    torch.testing.assert_close(loss.generator(None, logits), cross_entropy(probabilities, ones, reduction="none"))


def test_non_saturating_has_a_gradient_where_minimax_saturates() -> None:
    """The reason for this loss: where D confidently rejects a fake, minimax has hardly any gradient."""
    logits = torch.tensor([-20.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(NonSaturating().generator(None, logits).sum(), logits)
    assert gradient.item() == pytest.approx(-1, abs=1e-8)


LOSSES = [NonSaturating, Minimax, Hinge, LeastSquares, Wasserstein]


@pytest.mark.parametrize("loss", [kind() for kind in LOSSES], ids=[kind.__name__ for kind in LOSSES])
def test_the_discriminators_loss_is_the_sum_of_its_terms(loss: NonSaturating) -> None:
    real_logits, fake_logits = torch.linspace(-3, 3, 7), torch.linspace(2, -5, 7)
    expected = loss.real(real_logits) + loss.fake(fake_logits)
    assert torch.equal(loss.discriminator(real_logits, fake_logits), expected)
    assert not loss.needs_reals


BALANCES = [
    (NonSaturating(), (2 * math.log(2), math.log(2))),
    (Minimax(), (2 * math.log(2), -math.log(2))),
    (LeastSquares(), (0.25, 0.125)),
    (Hinge(), (2.0, None)),
    (Wasserstein(), (0.0, None)),
    (RelativisticPairing(), (math.log(2), math.log(2))),
    (NonSaturating(label_smoothing=0.2), None),
    (Minimax(label_smoothing=0.2), None),
    (LeastSquares(label_smoothing=0.2), None),
]


@pytest.mark.parametrize(("loss", "known"), BALANCES)
def test_the_balance_is_the_loss_of_the_best_constant_logit(loss: NonSaturating, known: Any) -> None:
    constants = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    costs = loss.discriminator(constants, constants)
    best = constants[costs <= costs.min() + 1e-12]  # hinge: an interval, wgan and rpgan: all of them
    assert loss.balance.discriminator == pytest.approx(costs.min().item(), abs=1e-8)
    answers = loss.generator(best, best)
    if loss.balance.generator is None:
        assert answers.max() - answers.min() > 1
    else:
        assert answers.tolist() == pytest.approx([loss.balance.generator] * len(best), abs=1e-4)
    if known is not None:
        assert loss.balance == pytest.approx(known, abs=1e-12) if known[1] else loss.balance == known


def test_the_balance_of_the_losses_as_they_are_reported() -> None:
    """Split updates report the mean of D's terms, others their sum; a user's loss need not have a balance."""
    assert StepConfig(NonSaturating()).balance.discriminator == 2 * math.log(2)
    split = StepConfig(NonSaturating(), split_updates=True).balance
    assert split == pytest.approx((math.log(2), math.log(2)))

    class Own:
        needs_reals = False
        discriminator = generator = NonSaturating.discriminator

    assert StepConfig(Own(), split_updates=True).balance == (None, None)  # type: ignore[arg-type]


def test_minimax_is_its_formula_and_saturates() -> None:
    """G minimises E[log(1 - D(G(z)))]; where D is confident, there is hardly any gradient."""
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    torch.testing.assert_close(Minimax().generator(None, logits), (1 - logits.sigmoid()).log())
    sure = torch.tensor([-20.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(Minimax().generator(None, sure).sum(), sure)
    assert -1e-8 < gradient.item() < 0


@pytest.mark.parametrize("kind", [NonSaturating, Minimax])
def test_smoothed_labels_are_soft_targets_of_reals_alone(kind: type[NonSaturating]) -> None:
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    loss, plain = kind(label_smoothing=0.1), kind()
    soft = torch.full_like(logits, 0.9)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    torch.testing.assert_close(loss.real(logits), cross_entropy)
    assert torch.equal(loss.fake(logits), plain.fake(logits))
    assert torch.equal(loss.generator(None, logits), plain.generator(None, logits))


def test_smoothed_least_squares() -> None:
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    loss, plain = LeastSquares(label_smoothing=0.1), LeastSquares()
    assert loss.real(torch.tensor([0.9])).item() == pytest.approx(0, abs=1e-12)
    assert torch.equal(loss.fake(logits), plain.fake(logits))
    assert torch.equal(loss.generator(None, logits), plain.generator(None, logits))


def test_relativistic_pairs_are_by_index() -> None:
    """One real and one fake per pair, not all combinations."""
    real_logits = torch.tensor([0.0, 2.0, -1.0], dtype=torch.float64)
    fake_logits = torch.tensor([1.0, -1.0, 3.0], dtype=torch.float64)
    loss = RelativisticPairing()
    assert loss.needs_reals
    assert loss.discriminator(real_logits, fake_logits).tolist() == pytest.approx([s(1.0), s(-3.0), s(4.0)])
    assert loss.generator(real_logits, fake_logits).tolist() == pytest.approx([s(-1.0), s(3.0), s(-4.0)])
    # A common offset has no effect.
    torch.testing.assert_close(
        loss.discriminator(real_logits + 7, fake_logits + 7), loss.discriminator(real_logits, fake_logits)
    )
    assert not hasattr(loss, "real")  # which is how split_updates knows


def test_relativistic_losses_against_autograd() -> None:
    real_logits = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64, requires_grad=True)
    fake_logits = torch.tensor([-0.6, 0.4, 1.0], dtype=torch.float64, requires_grad=True)
    loss = RelativisticPairing()
    for term in (loss.discriminator, loss.generator):
        assert gradcheck(term, (real_logits, fake_logits))
        assert gradgradcheck(term, (real_logits, fake_logits))


@pytest.mark.parametrize("loss", [NonSaturating(), NonSaturating(label_smoothing=0.3), Minimax()])
def test_gradients_are_the_derivatives(loss: NonSaturating) -> None:
    for value_of, gradient_of in (
        (loss.real, loss.real_gradient),
        (loss.fake, loss.fake_gradient),
        (partial(loss.generator, None), loss.generator_gradient),
    ):
        logits = torch.tensor(LOGITS, dtype=torch.double, requires_grad=True)
        (derivative,) = torch.autograd.grad(value_of(logits).sum(), logits)
        torch.testing.assert_close(gradient_of(logits.detach()), derivative)


@pytest.mark.parametrize(
    "loss",
    [NonSaturating(), NonSaturating(0.1), Minimax(0.3), Hinge(), LeastSquares(), LeastSquares(0.1)],
    ids=lambda loss: type(loss).__name__,
)
def test_the_boundary_is_the_best_logit_where_reals_and_fakes_are_equally_likely(loss: NonSaturating) -> None:
    """D's loss is minimal there; with smoothed labels it is not at 0 (or 0.5 for least squares)."""
    assert loss.boundary is not None
    logit = torch.tensor(loss.boundary, dtype=torch.float64, requires_grad=True)
    loss.discriminator(logit, logit).backward()
    assert logit.grad is not None and logit.grad.item() == pytest.approx(0, abs=1e-12)
