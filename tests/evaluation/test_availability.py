"""Which metrics can be measured on a data set, and the reasons for those that can't."""

import pytest
import torch

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.data.toys import ring
from gan_exp.errors import UserError
from gan_exp.evaluation.availability import measurable_metrics, missing_for
from gan_exp.evaluation.in_training import refuse_unmeasurable, training_metrics
from gan_exp.metrics.entries import CLASSES, MODES, NEIGHBOURS, PANEL, SCORE


def test_what_there_cannot_be() -> None:
    points, images = ring(count=50), digits()
    assert missing_for(MODES, points, None, "points") is None
    assert missing_for(MODES, images, None, "cnn") is not None
    assert missing_for(SCORE, images, None, "cnn") is None
    assert missing_for(CLASSES, images, None, "inception") is not None
    assert missing_for(NEIGHBOURS, images, images, "pixels") is None
    unlabelled = PackedImages(images.images)
    assert missing_for(PANEL, images, None, "cnn") is missing_for(PANEL, unlabelled, None, "ssl") is None
    others = ((images, "inception"), (images, "pixels"), (unlabelled, "pixels"), (points, "points"), (points, "pixels"))
    for data, features in others:  # no network is trained that nobody asked for
        assert missing_for(PANEL, data, None, features) is not None
    assert missing_for(PANEL, images, images.select(torch.arange(1)), "cnn") is not None  # the data has no distance


def stacked() -> PackedImages:
    """Three digits a picture, as stacked_mnist has them, with a label for each triple."""
    one = digits()
    images = one.images[:60].reshape(20, 3, *one.images.shape[2:])
    return PackedImages(images, torch.arange(20), channel_data=one)


def names(data: PackedImages, held_out: PackedImages | None, features: str) -> tuple[set[str], list[str]]:
    said: list[str] = []
    return {metric.name for metric in measurable_metrics(data, held_out, features, data, said.append)}, said


def test_only_what_another_run_could_have_is_said_to_be_left_out() -> None:
    all_of_images = {"fid", "kid", "panel", "score", "manifolds", "classes", "discriminator"}
    reason = "left out: neighbours, which needs images that were not trained on: train with dataset.held_out=0.1"
    assert names(digits(), None, "cnn") == (all_of_images, [reason])
    assert names(digits(), digits(), "cnn") == (all_of_images | {"neighbours"}, [])
    assert names(digits(), digits(), "inception")[0] == (all_of_images | {"neighbours"}) - {"classes", "panel"}
    of_stacked = {"fid", "kid", "panel", "manifolds", "modes", "neighbours", "discriminator"}
    assert names(stacked(), stacked(), "cnn")[0] == of_stacked
    few = digits().select(torch.arange(3))
    assert names(few, digits(), "pixels") == (
        {"fid", "kid", "neighbours", "discriminator"},
        ["left out: manifolds, which needs at least 6 images to compare with, and there are 3 training images: "
         "train on more"],
    )  # fmt: skip


def test_in_training_nothing_asks_for_held_out_images_or_the_discriminator() -> None:
    assert [metric.name for metric in training_metrics(digits(), "fid")] == [
        "fid",
        "kid",
        "panel",
        "score",
        "manifolds",
        "classes",
    ]
    assert [metric.name for metric in training_metrics(ring(count=50), "fid")] == ["fid", "kid", "manifolds", "modes"]


def test_a_score_that_its_metric_lacks_on_this_data_selects_no_checkpoint() -> None:
    """Without a mixture there is no distance from a mode, whose samples `high_quality` counts."""
    refuse_unmeasurable("high_quality", ring(count=50), "ring")
    refuse_unmeasurable("modes", stacked(), "stacked_mnist")
    with pytest.raises(UserError, match="best_metric=high_quality: can't be measured on stacked_mnist in training"):
        refuse_unmeasurable("high_quality", stacked(), "stacked_mnist")
    refuse_unmeasurable("recognised", digits(), "digits")
    refuse_unmeasurable("panel", PackedImages(digits().images), "folder")
    with pytest.raises(UserError, match="best_metric=recognised: can't be measured on folder in training"):
        refuse_unmeasurable("recognised", PackedImages(digits().images), "folder")
