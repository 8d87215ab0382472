from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan_exp.data.file_names import NAMES, names_in, write_names
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.generators.neighbours import TrainingImages
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.metrics.neighbours import Nearest
from gan_exp.runs.run_dir import RunDir


def packed(count: int, seed: int) -> PackedImages:
    rng = torch.Generator().manual_seed(seed)
    return PackedImages(torch.randint(256, (count, 1, 8, 8), generator=rng, dtype=torch.uint8))


TRAIN = packed(30, 0)


def test_the_nearest_come_first_and_an_image_is_nearest_to_itself() -> None:
    training = TrainingImages(TRAIN, None, pixel_features(TRAIN.spec))
    found = training.nearest(TRAIN.images[[7, 3]], 4)
    assert found.indices.shape == found.distances.shape == (2, 4)
    assert found.indices[:, 0].tolist() == [7, 3] and found.distances[:, 0].tolist() == [0, 0]
    assert (found.distances.diff(dim=1) > 0).all()
    wanted = (TRAIN.images[7].float() - TRAIN.images[found.indices[0]].float()).flatten(1).norm(dim=1) / 127.5
    torch.testing.assert_close(found.distances[0].float(), wanted)
    assert training.nearest(TRAIN.images[:1], 99).indices.shape == (1, 30)


def test_the_yardstick_is_of_held_out_images_if_there_are_some() -> None:
    others = packed(20, 1)
    training = TrainingImages(TRAIN, others, pixel_features(TRAIN.spec))
    yardstick = training.yardstick()
    assert yardstick.of == "held-out images"
    wanted = training.nearest(others.images, 1).distances[:, 0]
    torch.testing.assert_close(yardstick.distances.sort().values, wanted.sort().values)


def test_otherwise_it_is_of_each_training_image_to_the_others() -> None:
    training = TrainingImages(TRAIN, None, pixel_features(TRAIN.spec))
    yardstick = training.yardstick()
    assert yardstick.of == "training images, each to the others"
    wanted = training.nearest(TRAIN.images, 2).distances[:, 1]
    torch.testing.assert_close(yardstick.distances.sort().values, wanted.sort().values)


def test_a_copy_is_relatively_near_whatever_it_shows() -> None:
    training = TrainingImages(TRAIN, None, pixel_features(TRAIN.spec))
    copies = TRAIN.images[:2].clone()
    copies[1, 0, 0, 0] ^= 8
    relative = training.relative(training.nearest(torch.cat([copies, packed(5, 1).images])))
    assert relative[0] == 0 and 0 < relative[1] < 0.05 and relative[2:].min() > 0.5


def test_a_training_image_in_the_place_of_a_held_out_one_does_not_count_as_its_neighbours_neighbour() -> None:
    """Three points on a line: 0 and 1 are nearest to each other, and without 0 it is 9 from 1 to 10."""
    images = torch.tensor([0, 1, 10], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 8, 8)
    training = TrainingImages(PackedImages(images.contiguous()), None, pixel_features(TRAIN.spec))
    own = torch.tensor([0])
    nearest = Nearest(torch.tensor([[8 / 127.5]]).double(), torch.tensor([[1]]))
    assert training.relative(nearest, own).item() == pytest.approx(1 / 9)
    assert training.relative(nearest).item() == pytest.approx(1)


def test_data_of_a_run_are_loaded_and_must_be_the_same(run: Path) -> None:
    generator = TrainedGenerator.from_run(RunDir(run))
    training = TrainingImages.of(generator, "pixels")
    assert training.data.digest == generator.data_digest
    assert training.yardstick().of == "training images, each to the others"  # the digits have no test part
    object.__setattr__(generator, "data_digest", "another")
    with pytest.raises(UserError, match="digits: the data has changed since the run began"):
        TrainingImages.of(generator, "pixels")


def test_images_are_called_by_their_files_where_these_are_known(tmp_path: Path) -> None:
    write_names(tmp_path, [f"{number}.png" for number in range(2000)])
    data = replace(packed(2000, 0), names=names_in(tmp_path))
    features = pixel_features(data.spec)
    assert TrainingImages(data, None, features).called([1500, 3]) == ["1500.png", "3.png"]
    (tmp_path / NAMES).unlink()
    assert TrainingImages(data, None, features).called([1500, 3]) == ["1,500", "3"]
