"""Faults are tuned until a member of the panel finds them as bad as the samples."""

import pytest
import torch
from benchmarks.quality.equal_scores import FAULTS, Panel, TunableFault, compare

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.pixels import pixel_features


@pytest.fixture(scope="module")
def panel() -> Panel:
    data = PackedImages(digits().images)
    return Panel([pixel_features(data.spec)], data.images[:900], data.select(torch.arange(900, 1797)))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_without_strength_there_is_no_fault(fault: TunableFault, panel: Panel) -> None:
    assert torch.equal(panel.with_fault(fault, 0.0), panel.own.images)
    assert panel.ratio("pixels", panel.own.images) == 1
    assert panel.ratio("pixels", panel.with_fault(fault, fault.most)) > panel.ratio(
        "pixels", panel.with_fault(fault, fault.most / 8)
    )


def test_equal_scores(panel: Panel) -> None:
    samples = (panel.own.images.float() * 0.9).byte()
    rows, picture = compare(panel, ["pixels"], samples)
    assert [row[1].split(",")[0] for row in rows[1:]] == ["the samples", *(fault.name for fault in FAULTS)]
    target = float(rows[1][2])
    assert target > 1.1
    assert [float(row[2]) for row in rows[2:]] == pytest.approx([target] * len(FAULTS), rel=0.05)
    assert picture.dtype == torch.uint8 and picture.shape[0] == 1 and picture.shape[2] > 4 * picture.shape[1]


def test_a_fault_that_a_member_forgives_stays_at_its_largest(panel: Panel) -> None:
    assert panel.tune("pixels", FAULTS[0], 1e9) == FAULTS[0].most
