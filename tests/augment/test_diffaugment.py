"""DiffAugment's effects against known answers."""

import pytest
import torch

from augmentations import images, only, random, scripted
from gan_exp.augment import DiffAugment


def test_a_translation_moves_pixels_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of 8 rows down is 2, of 12 columns to the left 3; what comes in is gray."""
    original = images(2, 3, 8, 12)
    moved = scripted(monkeypatch, only("translation"), (2.0, -3.0), original)
    assert torch.equal(moved[:, :, 2:, :-3], original[:, :, :-2, 3:])
    assert (moved[:, :, :2] == 0).all() and (moved[:, :, :, -3:] == 0).all()
    moved = scripted(monkeypatch, only("translation"), (-1.0, 2.0), original)  # 1 up, 2 to the right
    assert torch.equal(moved[:, :, :-1, 2:], original[:, :, 1:, :-2])
    assert (moved[:, :, -1:] == 0).all() and (moved[:, :, :, :2] == 0).all()


@pytest.mark.parametrize(("side", "most"), [(16, 2), (28, 4), (32, 4)])
def test_all_shifts_are_equally_likely(side: int, most: int) -> None:
    """Of one bright pixel in the middle: whole numbers from -most to most, the extremes as often as the others."""
    count = 9000
    original = torch.zeros(count, 1, side, side)
    original[:, :, side // 2, side // 2] = 1.0
    moved = DiffAugment(color=False, cutout=0.0)(original, random())
    places = moved.flatten(1).argmax(dim=1)
    for shift in (places // side - side // 2, places % side - side // 2):
        counts = torch.bincount(shift + most, minlength=2 * most + 1)
        assert len(counts) == 2 * most + 1
        expected = count / (2 * most + 1)
        assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_a_cutout_is_a_rectangle_of_gray(monkeypatch: pytest.MonkeyPatch) -> None:
    original = images(2, 3, 8, 12)
    cut = scripted(monkeypatch, only("cutout"), (0.5, 0.5), original)  # its middle in the image's middle
    expected = original.clone()
    expected[:, :, 2:6, 3:9] = 0
    assert torch.equal(cut, expected)
    cut = scripted(monkeypatch, only("cutout"), (0.0, 0.999), original)  # a quarter of it is seen in the corner
    expected = original.clone()
    expected[:, :, :2, 9:] = 0
    assert torch.equal(cut, expected)


@pytest.mark.parametrize(("side", "cut"), [(28, 14), (32, 16), (9, 5), (33, 17)])
def test_half_of_an_odd_side_is_cut_out_rounded_up(side: int, cut: int) -> None:
    """As the paper's code, int(side * 0.5 + 0.5); Python's round takes 4 of 9 and 16 of 33."""
    holes = only("cutout")(torch.ones(64, 1, side, side), random()) == 0
    assert holes.any(3).sum(2).max() == cut
    assert holes.any(2).sum(2).max() == cut


def test_brightness_saturation_and_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    original = images(2, 3, 4, 4)
    brighter = scripted(monkeypatch, only("color"), (0.3, 0.0, 0.0), original)
    torch.testing.assert_close(brighter, original + 0.3)
    gray = original.mean(dim=1, keepdim=True)
    drained = scripted(monkeypatch, only("color"), (0.0, -1.0, 0.0), original)
    torch.testing.assert_close(drained, gray.expand_as(original))
    doubled = scripted(monkeypatch, only("color"), (0.0, 1.0, 0.0), original)
    torch.testing.assert_close(doubled, 2 * original - gray)
    mean = original.mean(dim=(1, 2, 3), keepdim=True)
    flatter = scripted(monkeypatch, only("color"), (0.0, 0.0, -0.5), original)
    torch.testing.assert_close(flatter, (original + mean) / 2)
