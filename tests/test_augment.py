"""Augmentation: nothing at p = 0, known answers at p = 1, differentiable twice, and how ADA steers its p."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from gan_exp import augment
from gan_exp.augment import ADA, DiffAugment, Pipeline

SIZES = [(1, 8, 8), (3, 7, 12), (4, 9, 5), (3, 64, 64), (1, 1, 1)]
Augment = Callable[[Tensor, torch.Generator], Tensor]


def images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 2 - 1


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(name: str, p: float = 1.0) -> DiffAugment:
    """DiffAugment with one effect."""
    given = {"color": False, "translation": 0.0, "cutout": 0.0}
    return DiffAugment(p, **{**given, name: {"color": True, "translation": 0.25, "cutout": 0.5}[name]})


def ada(p: float = 1.0, *, flip: bool = False, rotate: bool = False, color: bool = False) -> ADA:
    return ADA(start_p=p, flip=flip, rotate=rotate, color=color)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(
    "augmentation", [DiffAugment(p=0.0), ADA(), Pipeline(p=0.0)], ids=["diffaugment", "ada", "pipeline"]
)
def test_nothing_changes_at_p_0(augmentation: Augment, shape: tuple[int, int, int]) -> None:
    """To the last bit, in the gradient too."""
    original = images(16, *shape).requires_grad_()
    augmented = augmentation(original, random())
    assert torch.equal(augmented, original)
    slope = images(16, *shape)
    (gradient,) = torch.autograd.grad(augmented, original, slope)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 12), (4, 9, 5)])
@pytest.mark.parametrize(
    "augmentation",
    [
        only("color"),
        only("translation"),
        only("cutout"),
        ada(),
        ada(flip=True),
        ada(rotate=True),
        ada(color=True),
        DiffAugment(),
        ADA(start_p=1.0),
    ],
    ids=["color", "translation", "cutout", "shift", "flip", "rotate", "hue", "diffaugment", "ada"],
)
def test_every_effect_changes_images_at_p_1(augmentation: Augment, shape: tuple[int, int, int]) -> None:
    original = images(16, *shape)
    augmented = augmentation(original, random())
    assert augmented.shape == original.shape and augmented.dtype == original.dtype and augmented.isfinite().all()
    changed = (augmented != original).flatten(1).any(dim=1)
    assert changed.sum() >= 12  # a shift may be drawn as 0
    assert torch.equal(augmented, augmentation(original, random()))  # by the generator and nothing else
    assert not torch.equal(augmented, augmentation(original, random(1)))
    # To each image its own numbers: equal ones come out different.
    same = augmentation(original[:1].expand(16, -1, -1, -1), random())
    assert len(torch.unique(same, dim=0)) > 4


@pytest.mark.parametrize("name", ["color", "translation", "cutout"])
def test_p_is_the_share_of_images(name: str) -> None:
    original = images(4000, 1, 6, 6)
    changed = (only(name, p=0.3)(original, random()) != original).flatten(1).any(dim=1).float().mean()
    # A cutout of half the sides always hits; a translation of 0 in both directions is drawn in one of 16.
    whole = (only(name)(original, random()) != original).flatten(1).any(dim=1).float().mean()
    # Three effects of colour and two of translation are drawn on their own: 1 - 0.7^k
    at_most = {"color": 1 - 0.7**2, "translation": 1 - 0.7**2, "cutout": 0.3}[name]  # no saturation in gray
    assert changed == pytest.approx(at_most, abs=0.16 if name == "translation" else 0.03)
    assert changed < whole


def smooth(augmentation: Augment) -> Callable[[Tensor], Tensor]:
    return lambda value: augmentation(value, random(3))


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "augmentation", [DiffAugment(), ADA(start_p=1.0), ADA(start_p=0.5)], ids=["diffaugment", "ada", "ada half"]
)
def test_it_is_differentiable_twice(augmentation: Augment, channels: int) -> None:
    value = images(2, channels, 4, 5, dtype=torch.float64).requires_grad_()
    assert gradcheck(smooth(augmentation), (value,))
    assert gradgradcheck(lambda x: smooth(augmentation)(x).square(), (value,))


@pytest.mark.parametrize("augmentation", [DiffAugment(), ADA(start_p=1.0)], ids=["diffaugment", "ada"])
def test_a_gradient_penalty_reaches_through_it(augmentation: Augment) -> None:
    """d D(T(x)) / dx against finite differences; the penalty's derivative by D's weights is there."""
    value = images(2, 3, 4, 4, dtype=torch.float64).requires_grad_()
    weight = images(3, 4, 4, dtype=torch.float64).requires_grad_()

    def critic(x: Tensor) -> Tensor:
        return torch.tanh(augmentation(x, random(3)) * weight).sum(dim=(1, 2, 3))

    (gradient,) = torch.autograd.grad(critic(value).sum(), value, create_graph=True)
    step, by_hand = 1e-6, torch.zeros_like(value)
    for place in range(48):
        moved = torch.zeros(48, dtype=torch.float64)
        moved[place] = step
        difference = critic(value + moved.view(3, 4, 4)) - critic(value - moved.view(3, 4, 4))
        by_hand.view(2, -1)[:, place] = difference.detach() / (2 * step)
    torch.testing.assert_close(gradient, by_hand, rtol=1e-6, atol=1e-8)
    (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert second.isfinite().all() and second.any()


class Scripted:
    """In place of the module's random numbers: each effect gets the next number, whatever its distribution."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def __call__(self, original: Tensor, _: object, p: Tensor) -> "Scripted":
        self.count, self.p = len(original), p
        return self

    def _next(self) -> Tensor:
        return torch.full((self.count, 1, 1, 1), self.numbers.pop(0))

    def uniform(self, low: float, high: float) -> Tensor:
        number = self._next()
        assert low <= number[0] <= high
        return number

    def whole(self, most: int) -> Tensor:
        return self.uniform(-most, most)

    def normal(self) -> Tensor:
        return self._next()

    def sign(self) -> Tensor:
        return self._next()

    def chosen(self, p: Tensor | None = None) -> Tensor:
        return torch.full((self.count, 1, 1, 1), True)

    def where(self, effect: Tensor, otherwise: float, p: Tensor | None = None) -> Tensor:
        return effect


def scripted(
    monkeypatch: pytest.MonkeyPatch, augmentation: Augment, numbers: tuple[float, ...], original: Tensor
) -> Tensor:
    script = Scripted(*numbers)
    monkeypatch.setattr(augment, "_Draw", script)
    augmented = augmentation(original, random())
    assert script.numbers == []
    return augmented


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


def test_adas_p_rises_and_falls_with_the_signs_of_ds_logits() -> None:
    ada = ADA(target=0.6, every=4, images_to_one=1000, start_p=0.5)
    for update in range(4):
        assert ada.p.item() == 0.5  # not before the fourth
        ada.observe(torch.ones(16), 10, update)
    assert ada.p.item() == pytest.approx(0.5 + 4 * 10 / 1000)
    for update in range(4, 12):
        ada.observe(-torch.ones(16), 10, update)
    assert ada.p.item() == pytest.approx(0.5 - 4 * 10 / 1000)
    for update, real in zip(range(12, 16), (16, 16, 16, 8), strict=True):  # mean sign 0.75: above the target
        ada.observe(torch.cat([torch.ones(real), -5 * torch.ones(16 - real)]), 10, update)
    assert ada.p.item() == pytest.approx(0.5)
    for update in range(16, 20):  # mean sign 0.5, below it, whatever the sizes of the logits
        ada.observe(torch.tensor([100.0, 100.0, 100.0, -0.1]), 10, update)
    assert ada.p.item() == pytest.approx(0.5 - 4 * 10 / 1000)


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
        # Brightness, contrast, and a luma flip, which turns one in two over.
        assert changed == pytest.approx(1 - (1 - p) ** 2 * (1 - p / 2), abs=0.04)
    cut = Pipeline(p=0.6, color=False, cutout=0.5, **moved)(original + 2, random())
    assert (cut == 0).any(dim=(1, 2, 3)).float().mean().item() == pytest.approx(0.6, abs=0.04)
    assert (cut == 0).float().mean(dim=(1, 2, 3)).max().item() == 0.25


@pytest.mark.parametrize("kind", [Pipeline, DiffAugment])
def test_a_given_p_can_be_scheduled_and_is_in_no_checkpoint(kind: type[Pipeline | DiffAugment]) -> None:
    augmentation, original = kind(p=0.6), images(16, 3, 8, 8)
    for factor, p in ((0.0, 0.0), (0.5, 0.3), (1.0, 0.6), (2.0, 1.0)):
        augmentation.scale_p(factor)
        assert augmentation.p.item() == pytest.approx(p)
        assert torch.equal(augmentation(original, random()), kind(p=p)(original, random()))
    assert augmentation.state_dict() == {}


def test_adas_p_stays_a_probability() -> None:
    for sign, end in ((1.0, 1.0), (-1.0, 0.0)):
        ada = ADA(every=1, images_to_one=30, start_p=0.5)
        for update in range(20):
            ada.observe(torch.full((4,), sign), 4, update)
            assert 0 <= ada.p.item() <= 1
        assert ada.p.item() == end
    original = images(4, 3, 8, 8)
    assert ada(original, random()).isfinite().all()


def test_adas_state_holds_p_and_what_it_has_seen_of_the_present_window() -> None:
    first, second = ADA(every=4, images_to_one=100), ADA(every=4, images_to_one=100)
    for update in range(6):
        first.observe(torch.ones(4), 4, update)
    second.load_state_dict(first.state_dict())
    assert second.p.item() == pytest.approx(0.16) and second.sign_sum.item() == 2
    for update, sign in ((6, 1.0), (7, -1.0)):
        first.observe(torch.full((4,), sign), 4, update)
        second.observe(torch.full((4,), sign), 4, update)
    assert torch.equal(first.p, second.p)
