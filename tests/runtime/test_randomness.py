"""Random numbers are functions of (seed, step, stream), independent of earlier draws."""

import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_exp.runtime.randomness import PartRng, Rows, Streams, draw, random_state_kept

NAMES = st.tuples(st.integers(0, 10**6), st.sampled_from(["batch", "epoch", "generator", "discriminator/0"]))


@given(st.integers(0, 2**63), st.lists(NAMES, min_size=1, max_size=6))
def test_numbers_do_not_depend_on_earlier_draws(seed: int, names: list[tuple[int, str]]) -> None:
    streams = Streams(seed)
    for step, stream in names:
        drawn = streams.latents(step, stream, 3, 4)
        assert torch.equal(drawn, Streams(seed).latents(step, stream, 3, 4))


def test_seeds_steps_and_streams_differ() -> None:
    drawn = {
        tuple(Streams(seed).latents(step, stream, 1, 4).flatten().tolist())
        for seed in (0, 1, 2)
        for step in (0, 1, 11)
        for stream in ("generator", "discriminator/0", "discriminator/1")
    }
    assert len(drawn) == 27


def test_names_do_not_run_into_each_other() -> None:
    """Seed 1 at step 12 is not seed 11 at step 2."""
    assert not torch.equal(Streams(1).latents(12, "a", 1, 4), Streams(11).latents(2, "a", 1, 4))


def test_latents_are_standard_normal() -> None:
    latents = torch.cat([Streams(0).latents(step, "generator", 64, 100) for step in range(50)])
    assert latents.shape == (3200, 100) and latents.dtype == torch.float32
    assert abs(latents.mean()) < 0.01 and abs(latents.std() - 1) < 0.01
    # Rows and neighbouring steps are uncorrelated.
    assert torch.corrcoef(latents[::64, :20]).fill_diagonal_(0).abs().max() < 0.95
    assert abs((latents[:-64] * latents[64:]).mean()) < 0.01


def test_each_call_returns_a_new_generator() -> None:
    """Interleaved draws from two generators neither repeat numbers nor affect each other."""
    streams = Streams(0)
    expected = torch.rand(6, generator=Streams(0).at(3, "penalty"))
    mine = streams.at(3, "penalty")
    first = torch.rand(4, generator=mine)
    torch.rand(5, generator=streams.at(3, "augment"))
    streams.latents(3, "generator", 2, 2)
    assert torch.equal(torch.cat([first, torch.rand(2, generator=mine)]), expected)


def test_latents_are_drawn_on_the_cpu_for_any_device() -> None:
    assert Streams(0, "meta").latents(3, "generator", 2, 4).device.type == "meta"  # which draws nothing itself


def test_the_global_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    Streams(3).latents(4, "generator", 2, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_numbers_stay_what_they_are() -> None:
    """A new version must not change them, or runs of older versions would resume differently."""
    assert Streams(0).at(7, "batch").initial_seed() == 6946204658591651000


def test_a_part_of_a_batch_draws_its_rows_of_the_whole() -> None:
    """One number for each image, for each pack of two, and two for each image."""
    for rows in (Rows(0, 4, 12), Rows(4, 6, 12), Rows(6, 12, 12)):
        whole, rng = Streams(0).at(1, "noise"), PartRng.of(Streams(0).at(1, "noise"), rows)
        for of_each in (Fraction(1), Fraction(1, 2), Fraction(2)):
            first, last, count = (int(number * of_each) for number in rows)
            drawn = draw(torch.randn, (last - first, 3), rng, dtype=torch.float64)
            expected = torch.randn(count, 3, generator=whole, dtype=torch.float64)
            assert torch.equal(drawn, expected[first:last])
            whole.manual_seed(0), rng.whole.manual_seed(0)
    with pytest.raises(ValueError, match="3 random numbers can't be shared evenly by 2 images"):
        draw(torch.rand, (3,), PartRng.of(torch.Generator(), Rows(1, 3, 8)))


def test_a_whole_batch_draws_as_torch_does() -> None:
    assert torch.equal(
        draw(torch.rand, (3, 2), Streams(0).at(1, "noise")), torch.rand(3, 2, generator=Streams(0).at(1, "noise"))
    )


def test_what_knows_of_no_parts_still_gets_numbers_of_its_own_in_each() -> None:
    """The same whenever the part is drawn again."""
    drawn = [
        torch.rand(2, generator=PartRng.of(Streams(0).at(step, "noise"), Rows(start, start + 2, 8))).tolist()
        for step in (0, 1, 0)
        for start in (0, 2, 4)
    ]
    assert drawn[:3] == drawn[6:]
    assert len({tuple(numbers) for numbers in drawn}) == 6


def test_rows_of_rows() -> None:
    assert Rows(8, 16, 32).inner(2, 4) == Rows(10, 12, 32)
    assert Rows(8, 16, 32).share == 0.25


def test_the_random_states_of_the_program_are_kept() -> None:
    def drawn() -> list[float]:
        return [random.random(), float(np.random.rand()), torch.rand(1).item()]

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    with random_state_kept():
        first = drawn()
    assert drawn() == first
