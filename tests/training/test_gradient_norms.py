"""Which gradients are measured, and how their norms are averaged."""

import pytest
import torch

from gan_exp.training.gradient_norms import GradientNorms, norms_wanted

CPU = torch.device("cpu")


@pytest.mark.parametrize("n_critic", [1, 2, 5])
@pytest.mark.parametrize("every", [1, 2, 3, 8, 16])
def test_each_penalised_update_is_measured_and_others_too(every: int, n_critic: int) -> None:
    wanted = [step for step in range(200) if norms_wanted(step, n_critic, every)]
    penalised = {update // n_critic for update in range(0, 200 * n_critic, every)}
    assert penalised <= set(wanted)
    if every > n_critic:  # the one after a penalised one has none
        assert {step + 1 for step in penalised if step < 199} <= set(wanted)
    if every == 16 and n_critic == 1:
        assert len(wanted) == 44  # 13 penalised, as many after them, and 20, of which two are the same


def test_without_a_penalty_it_is_each_tenth_step() -> None:
    assert [step for step in range(40) if norms_wanted(step, 3, None)] == [9, 19, 29, 39]


def test_a_lazy_penalty_counts_as_often_as_it_is_applied() -> None:
    """Of sixteen updates two are penalised, with norms of 80; of the others, of norm 1, only two are measured."""
    norms = GradientNorms(CPU)
    for _ in range(2):
        measured = [True, True, *[False] * 6]
        norms.add([True, *[False] * 7], measured, torch.tensor([[80.0], [1.0]]))
    assert norms.read("discriminator") == {
        "gradient_norm/discriminator": (2 * 80 + 14 * 1) / 16,
        "gradient_norm_max/discriminator": 80.0,
    }


def test_reading_starts_again_and_gives_nothing_without_updates() -> None:
    norms = GradientNorms(CPU)
    norms.add([False] * 2, [True] * 2, torch.tensor([[3.0, 5.0], [1.0, 1.0]]))  # split updates have two each
    assert norms.read("g") == {"gradient_norm/g": 2.5, "gradient_norm_max/g": 5.0}
    norms.add([False] * 2, [False] * 2, None)
    assert norms.read("g") == {}
    norms.add([False], [True], torch.tensor([2.0]))
    assert norms.read("g") == {"gradient_norm/g": 2.0, "gradient_norm_max/g": 2.0}


def test_a_norm_that_is_not_a_number_shows_in_both() -> None:
    norms = GradientNorms(CPU)
    norms.add([False] * 2, [True] * 2, torch.tensor([float("nan"), 1.0]))
    norms.add([False], [True], torch.tensor([2.0]))
    assert all(value != value for value in norms.read("g").values())
