"""What is said of few images."""

from pathlib import Path

import pytest
import torch

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.data.toys import ring
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.features.untrained import random_features
from gan_exp.evaluation.few import notes
from gan_exp.evaluation.in_training import choose_best_metric


def test_what_few_images_cannot_tell() -> None:
    whole = PackedImages(digits().images)
    extractor = random_features(whole.spec, torch.device("cpu"))
    few, held_out = whole.select(torch.arange(90)), whole.select(torch.arange(90, 100))
    assert list(notes(few, held_out, few, extractor)) == [
        "few images to compare with (90, fewer than the 128 features): fid_random mostly tells their number; read "
        "kid_random and coverage_random",
        "10 held-out images: the column `data` and the panel are mostly chance; nearest_random beside "
        "nearest_held_out_random still tells whether training images are copied",
    ]
    assert list(notes(whole, None, whole, extractor)) == list(notes(ring(50), None, ring(50), extractor)) == []
    assert (choose_best_metric("auto", few), choose_best_metric("auto", whole)) == ("kid", "panel")


@pytest.mark.parametrize("there", [False, True])
def test_whether_the_scores_of_papers_can_be_had(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "weights.pth"
    if there:
        place.touch()
    monkeypatch.setattr("gan_exp.evaluation.few.weights_place", lambda: place)
    data = PackedImages(digits().images)
    extractor = pixel_features(data.spec)
    object.__setattr__(extractor, "name", "ssl")
    said = "its weights are on this machine" if there else "its weights, 91 MB, are downloaded once"
    assert list(notes(data, None, data, extractor)) == [f"for the scores of papers add --features inception ({said})"]
