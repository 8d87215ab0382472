import math

import pytest
import torch

from gan_exp.generators.paths import follow, lerp, positions, slerp


def test_slerp_keeps_norms_and_turns_evenly() -> None:
    start, end = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    start, end = 3 * start / start.norm(dim=1, keepdim=True), 3 * end / end.norm(dim=1, keepdim=True)
    between = [slerp(start, end, torch.full((5,), weight)) for weight in (0.0, 0.25, 0.5, 1.0)]
    torch.testing.assert_close(between[0], start)
    torch.testing.assert_close(between[3], end)
    for latents in between:
        torch.testing.assert_close(latents.norm(dim=1), torch.full((5,), 3.0))
    cosines = [(start * latents).sum(dim=1) / 9 for latents in between]
    torch.testing.assert_close(cosines[1].acos(), cosines[3].acos() / 4)
    torch.testing.assert_close(cosines[2].acos(), cosines[3].acos() / 2)


def test_slerp_joins_norms_straight() -> None:
    start, end = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert slerp(start, end, torch.tensor([0.5])).norm().item() == pytest.approx(2.0)


@pytest.mark.parametrize("end", [[2.0, 4.0], [1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]])
def test_slerp_of_what_has_no_great_circle_is_straight(end: list[float]) -> None:
    start, weight = torch.tensor([1.0, 2.0]), torch.tensor(0.25)
    expected = lerp(start, torch.tensor(end), weight)
    torch.testing.assert_close(slerp(start, torch.tensor(end), weight), expected)


def test_an_open_path_begins_and_ends_at_its_ends() -> None:
    points = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    path = follow(points, positions(3, 9, loop=False))
    torch.testing.assert_close(path[[0, 4, 8]], points)
    steps = (path[1:] - path[:-1]).norm(dim=1)
    assert steps.min() > 0


def test_a_loop_closes_with_a_step_as_long_as_the_others() -> None:
    points = torch.eye(3)  # right angles: all three sides are alike
    path = follow(points, positions(3, 30, loop=True))
    assert len(path) == 30
    torch.testing.assert_close(path[[0, 10, 20]], points)
    steps = (path - path.roll(-1, 0)).norm(dim=1)  # the last of them leads back to the first
    torch.testing.assert_close(steps, torch.full((30,), 2 * math.sin(math.pi / 2 / 10 / 2)))


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize(("keys", "frames"), [(1, 4), (2, 1), (5, 3), (2, 2)])
def test_any_number_of_points_and_frames(keys: int, frames: int, loop: bool) -> None:
    where = positions(keys, frames, loop)
    assert len(where.start) == frames
    assert (where.weight >= 0).all() and (where.weight <= 1).all()
    assert follow(torch.randn(keys, 4, 6), where).shape == (frames, 4, 6)
    assert follow(torch.randn(keys, 4, 6), where, lerp).isfinite().all()
