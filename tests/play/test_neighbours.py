import pytest
import torch

from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.generators.neighbours import TrainingImages
from gan_exp.play import neighbours
from tiny_generators import tiny_generator


def test_an_image_of_the_data_is_its_own_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = PackedImages(images, torch.arange(20) % 2, ("cat", "dog"))
    training = TrainingImages(data, None, pixel_features(data.spec))
    monkeypatch.setattr(TrainingImages, "of", lambda generator, say: training)
    find = neighbours.load_neighbours(tiny_generator())
    found = find(images[7])
    assert torch.equal(found.image, images[7])
    assert found.sentence == (
        "Training image 7 (class dog), at a distance of 0 (features pixels): 0.00 times that image's distance to the "
        "nearest other one. A copy has much less than 1; 0% of the training images have less."
    )
    far = find(torch.zeros(1, 8, 8, dtype=torch.uint8)).sentence
    assert "times that image's distance" in far and "100% of the training images have less" in far
