"""How ADA adapts its p to the signs of D's logits."""

import inspect

import pytest
import torch

from augmentations import images, random
from gan_exp.augment import ADA, Adaptive, DiffAugment


def test_ada_is_adaptive_to_every_python() -> None:
    """`isinstance` looks the protocol's members up statically from 3.12 on, where 3.11 asks the object."""
    assert isinstance(ADA(), Adaptive) and not isinstance(DiffAugment(), Adaptive)
    for name in (*vars(Adaptive), *Adaptive.__annotations__):
        if not name.startswith("_"):
            inspect.getattr_static(ADA(), name)


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
    for update in range(16, 20):  # mean sign 0.5, below it, for logits of any size
        ada.observe(torch.tensor([100.0, 100.0, 100.0, -0.1]), 10, update)
    assert ada.p.item() == pytest.approx(0.5 - 4 * 10 / 1000)


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
