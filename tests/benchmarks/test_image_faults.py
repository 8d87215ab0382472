"""The panel sees each known fault of images, whichever of its extractors does."""

from functools import partial

import pytest
import torch
from benchmarks.quality.faults import FAULTS, Fault, FaultMatrix, broken_strokes, copies, mixed_halves, specks

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.choice import CLASSIFIERS
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.learning import AUTOENCODER
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.features.trained import trained_features

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> FaultMatrix:
    """Halves of the embedded digits, in the features of networks that have learned for a few seconds."""
    data = digits()
    train, others = data.select(torch.arange(0, 1797, 2)), data.select(torch.arange(1, 1797, 2))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GAN_EXP_CACHE", str(tmp_path_factory.mktemp("cache")))
        make = partial(trained_features, data=train, held_out=others, device=CPU, say=lambda line: None, images=8000)
        panel: list[FeatureExtractor] = [make(design) for design in (*CLASSIFIERS, AUTOENCODER)]
    return FaultMatrix([*panel, pixel_features(data.spec)], train.images, others)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_seen(fault: Fault, matrix: FaultMatrix) -> None:
    """By some extractor clearly, and so by the summary; 898 images of 64 pixels need more specks than MNIST."""
    own, found = matrix.without(), matrix.measure(partial(specks, share=0.04) if fault is specks else fault)
    ratios = {name: found.distances[name] / own.distances[name] for name in own.distances}
    assert own.worst == 1 and found.worst == max(ratios.values()) > 2, ratios


@pytest.mark.slow
def test_shapes_that_are_no_digits_are_not_recognised(matrix: FaultMatrix) -> None:
    own, found = matrix.without().recognised, matrix.measure(mixed_halves).recognised
    assert own is not None and found is not None and found < 0.5 * own


def test_faults_keep_shape_and_number() -> None:
    data = digits()
    for fault in FAULTS:
        images = fault(data, torch.Generator().manual_seed(0))
        assert images.shape == data.images.shape and images.dtype == torch.uint8
        assert not torch.equal(images, data.images)
        assert torch.equal(images, fault(data, torch.Generator().manual_seed(0)))


def test_broken_strokes_lose_brightness_and_copies_variety() -> None:
    data = PackedImages(digits().images)
    broken = broken_strokes(data, torch.Generator().manual_seed(0))
    assert (broken <= data.images).all() and (broken.flatten(1).sum(1) < data.images.flatten(1).sum(1)).all()
    distinct = torch.unique(copies(data, torch.Generator().manual_seed(0)).flatten(1), dim=0)
    assert len(distinct) <= 1797 - 1797 // 4 + 20
