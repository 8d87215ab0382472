"""The sentences under the table of scores."""

import pytest

from gan_exp.display.evaluation_report import data_line

WHAT = "9 held-out images"


@pytest.mark.parametrize(
    ("score", "samples", "counts"),
    [("fid_cnn", 100, "; with so few images, fid is higher than with 100"), ("kid_cnn", 100, ""), ("fid_cnn", 9, "")],
)
def test_fid_of_few_images_is_said_to_be_higher(score: str, samples: int, counts: str) -> None:
    protocol = {"samples": samples, "yardstick": {"what": WHAT, "images": 9}}
    line = data_line({"metrics": {score: {}}, "protocol": protocol})
    assert line == f"data: the scores of real images ({WHAT}{counts}); samples as good as the data come near them"
