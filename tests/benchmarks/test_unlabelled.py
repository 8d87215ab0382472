"""Faults of rising strength: images of the data's kind, each fault worse than the one before it."""

import torch
from benchmarks.quality.faults import FaultMatrix
from benchmarks.quality.unlabelled import graded_faults, neighbours, table, without_groups

from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.pixels import pixel_features


def pictures() -> PackedImages:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randint(256, (60, 4, 4, 4), dtype=torch.uint8, generator=rng)
    return PackedImages(coarse.repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_faults_and_their_table() -> None:
    data = pictures()
    faults = list(graded_faults(data))
    assert len(faults) == 21 and all(fault.images.shape == data.images.shape for fault in faults)
    assert all(fault.images.dtype == torch.uint8 for fault in faults)
    moves = [(fault.images.float() - data.images).abs().mean().item() for fault in faults[:6]]
    assert moves[:3] == sorted(moves[:3]) and moves[3:] == sorted(moves[3:])
    kept, share = without_groups(data.images, 2, torch.Generator().manual_seed(0))
    assert kept.shape == data.images.shape and 0.2 <= share < 0.9
    rows = table(FaultMatrix([pixel_features(data.spec)], data.images, data), data)
    assert len(rows) == 23 and rows[0] == ["fault", "`panel`", "`pixels`"]
    assert "moved, 1 pixel" in [row[0] for row in rows] and not any("e+" in cell for cell in rows[1])


def test_a_picture_of_neighbours() -> None:
    data = pictures()
    picture = neighbours([data.images.flatten(1).float()] * 2, data.images, shown=3, count=2)
    assert picture.size == (2 * 3 * 16 + 8, 3 * 16) and picture.mode == "RGB"
