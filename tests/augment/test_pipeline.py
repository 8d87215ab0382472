"""The effects of ADA's pipeline against known answers."""

import math

import pytest
import torch

from augmentations import ada, images, random, scripted
from gan_exp.augment import ADA, Pipeline

# ADA's numbers in order: [flip] [quarter turns] two shifts, scale, [rotation] stretch [rotation] two shifts, [colours]
STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_a_flip(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((3, 8, 8), (1, 5, 12)):
        original = images(2, *shape)
        flipped = scripted(monkeypatch, ada(flip=True), (-1.0, *STILL), original)
        assert torch.equal(flipped, original.flip(3))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("side", [8, 7])
def test_quarter_turns(quarters: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = images(2, 3, side, side)
    numbers = (quarters + 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    turned = scripted(monkeypatch, ada(rotate=True), numbers, original)
    assert torch.equal(turned, original.rot90(quarters, dims=(2, 3)))


@pytest.mark.parametrize("place", [4, 6])
def test_a_free_rotation_by_a_right_angle_is_a_quarter_turn(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of the free rotations: before the stretch and after it."""
    original = images(2, 3, 8, 8)
    numbers = [0.0] * 9
    numbers[place] = math.pi / 2
    turned = scripted(monkeypatch, ada(rotate=True), tuple(numbers), original)
    torch.testing.assert_close(turned, original.rot90(1, dims=(2, 3)), rtol=0, atol=1e-5)


def test_images_that_are_not_square_are_not_turned_by_quarters() -> None:
    """Half of such an image would be its own mirror image; free rotations remain."""
    original = images(8, 1, 6, 9)
    numbers = torch.Generator().manual_seed(0)
    assert ada(rotate=True)(original, numbers).shape == original.shape


def test_shifts_move_whole_pixels_and_edges_reflect(monkeypatch: pytest.MonkeyPatch) -> None:
    original = images(2, 1, 8, 16)
    shifted = scripted(monkeypatch, ada(), (1.0, 0.0, 0.0, 0.0, 0.0, 0.0), original)  # an eighth of the width: 2
    columns = [*range(2, 16), 14, 13]
    assert torch.equal(shifted, original[:, :, :, columns])
    shifted = scripted(monkeypatch, ada(), (0.0, -1.0, 0.0, 0.0, 0.0, 0.0), original)  # one row the other way
    assert torch.equal(shifted, original[:, :, [1, *range(7)]])


def test_shifts_by_parts_of_pixels_are_bilinear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last shift is normal: 1/8 of 16 columns times a quarter is half a pixel."""
    original = images(2, 1, 8, 16)
    shifted = scripted(monkeypatch, ada(), (0.0, 0.0, 0.0, 0.0, 0.25, 0.0), original)
    torch.testing.assert_close(shifted[..., :-1], (original[..., :-1] + original[..., 1:]) / 2)


def test_scaling_and_stretching_keep_the_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    original = images(1, 1, 9, 9)
    smaller = scripted(monkeypatch, ada(), (0.0, 0.0, 5.0, 0.0, 0.0, 0.0), original)  # 2^(5 * 0.2): every second pixel
    torch.testing.assert_close(smaller[..., 2:7, 2:7], original[..., ::2, ::2])
    stretched = scripted(monkeypatch, ada(), (0.0, 0.0, 0.0, 5.0, 0.0, 0.0), original)  # width halved, height doubled
    torch.testing.assert_close(stretched[..., 4, 2:7], original[..., 4, ::2])
    torch.testing.assert_close(stretched[..., ::2, 4], original[..., 2:7, 4])


def test_hue_turns_red_into_green(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the way round about the gray axis is a change of places of the channels."""
    original = images(2, 3, 4, 4)
    # brightness, contrast, luma flip, hue, saturation
    turned = scripted(monkeypatch, ada(color=True), (*STILL, 0.0, 0.0, 1.0, 2 * math.pi / 3, 0.0), original)
    torch.testing.assert_close(turned, original.roll(1, dims=1), rtol=0, atol=1e-6)
    turned = scripted(monkeypatch, ada(color=True), (*STILL, 0.0, 0.0, 1.0, -2 * math.pi / 3, 0.0), original)
    torch.testing.assert_close(turned, original.roll(-1, dims=1), rtol=0, atol=1e-6)


def test_adas_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    original = images(2, 4, 4, 4)
    color, alpha = original[:, :3], original[:, 3:]
    gray = color.mean(dim=1, keepdim=True)
    for numbers, expected in (
        ((1.0, 0.0, 1.0, 0.0, 0.0), color + 0.2),
        ((0.0, 2.0, 1.0, 0.0, 0.0), color * 2),
        ((0.0, 0.0, -1.0, 0.0, 0.0), color - 2 * gray),
        ((0.0, 0.0, 1.0, 0.0, 1.0), 2 * color - gray),
    ):
        changed = scripted(monkeypatch, ada(color=True), (*STILL, *numbers), original)
        torch.testing.assert_close(changed[:, :3], expected)
        assert torch.equal(changed[:, 3:], alpha)
    changed = scripted(monkeypatch, ada(color=True), (*STILL, 0.0, 0.0, -1.0), original[:, :1])
    torch.testing.assert_close(changed, -original[:, :1])


def test_the_pipeline_is_adas_with_a_given_p() -> None:
    original = images(16, 3, 8, 8)
    assert torch.equal(Pipeline(p=0.4)(original, random()), ADA(start_p=0.4)(original, random()))
    given = {"flip": False, "rotate": False, "color": False}
    assert torch.equal(Pipeline(p=1.0, **given)(original, random()), ada()(original, random()))


def test_the_pipeline_recolours_less_often_and_cuts_out_where_asked() -> None:
    """As R3GAN has it: colours change with half the probability, a half of each side is cut out with all of it."""
    moved = {"flip": False, "rotate": False}
    original = images(2000, 1, 8, 8).mean(dim=(2, 3), keepdim=True).expand(-1, -1, 8, 8)  # even: only colours show
    for share in (0.0, 0.5, 1.0):
        recolored = Pipeline(p=0.6, color_share=share, **moved)(original, random())
        changed = ((recolored - original).abs().amax(dim=(1, 2, 3)) > 1e-5).float().mean().item()
        p = 0.6 * share
        # Brightness, contrast, and a luma flip, which inverts half of the images.
        assert changed == pytest.approx(1 - (1 - p) ** 2 * (1 - p / 2), abs=0.04)
    cut = Pipeline(p=0.6, color=False, cutout=0.5, **moved)(original + 2, random())
    assert (cut == 0).any(dim=(1, 2, 3)).float().mean().item() == pytest.approx(0.6, abs=0.04)
    assert (cut == 0).float().mean(dim=(1, 2, 3)).max().item() == 0.25
