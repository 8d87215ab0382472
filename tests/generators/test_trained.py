from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from builders import SMALL, make_config
from gan_exp.data.packed import DataSpec, PackedImages, to_uint8
from gan_exp.errors import UserError
from gan_exp.evaluation.sampling import BATCH, draw
from gan_exp.generators.trained import ROWS, TrainedGenerator
from gan_exp.runs.checkpoint import class_names, data_content, load_checkpoint, write_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.randomness import Streams
from gan_exp.training.build import build_generator


def small_generator(model: str, conditional: bool = False) -> TrainedGenerator:
    config = make_config(*SMALL[model], f"conditional={conditional}", *(["dataset=ring"] if model == "points" else []))
    spec = DataSpec((2, 1, 1), 0, 1.5) if model == "points" else DataSpec((3, 16, 16), 10)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_generator(config, spec).eval().requires_grad_(False)
    return TrainedGenerator(network, config, spec, tuple("0123456789") if conditional else (), 7)


def test_from_a_run(trained: Path) -> None:
    generator = TrainedGenerator.from_run(RunDir(trained))
    assert (generator.step, generator.latent_dim, generator.conditional) == (4, 100, False)
    assert generator.spec.image_shape == (1, 8, 8) and generator.class_names == ()
    assert not generator.network.training and not any(one.requires_grad for one in generator.network.parameters())
    latents = generator.latents(3, range(5))
    images = generator.images(latents)
    assert (images.shape, images.dtype) == ((5, 1, 8, 8), torch.float32) and images.abs().max() <= 1
    in_training = TrainedGenerator.from_run(RunDir(trained), average=False)
    earlier = TrainedGenerator.from_run(RunDir(trained), "2")
    assert earlier.step == 2
    for other in (in_training, earlier):
        assert (other.images(latents) != images).any()


def test_no_average_where_the_run_keeps_none(run: Path) -> None:
    path = RunDir(run).checkpoint(4)
    content = load_checkpoint(path)
    del content["generator_ema"]
    write_checkpoint(path, content)
    assert TrainedGenerator.from_run(RunDir(run)).step == 4
    with pytest.raises(UserError, match=r"--no-average: .* keeps no averaged generator"):
        TrainedGenerator.from_run(RunDir(run), average=False)


def test_a_latent_depends_on_seed_and_index_alone() -> None:
    """As `evaluate` draws them: batches of 256, whatever is asked for."""
    generator = small_generator("mlp")
    first, second = (Streams(5).latents(k, "sample", BATCH, generator.latent_dim) for k in range(2))
    whole = torch.cat([first, second])
    assert generator.latents(5, range(512)).equal(whole)
    wanted = [300, 2, 257, 2, 511]
    assert generator.latents(5, wanted).equal(whole[wanted])
    assert generator.latents(5, []).shape == (0, generator.latent_dim)
    assert not generator.latents(6, range(512)).equal(whole)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet", "r3gan", "fastgan", "points"])
def test_an_image_depends_on_its_latent_alone(model: str, conditional: bool) -> None:
    """To the last bit, however many are asked for and wherever it stands among them."""
    if model == "points" and conditional:
        return
    generator = small_generator(model, conditional)
    indices = range(2 * ROWS + 5)
    latents, labels = generator.latents(0, indices), generator.labels(indices)
    images = generator.images(latents, labels)
    assert images.shape == (len(indices), *generator.spec.image_shape)
    for some in ([0], [ROWS + 3], [4, 2 * ROWS + 4, 1], list(range(3, ROWS + 9))):
        alone = generator.images(latents[some], None if labels is None else labels[some])
        assert alone.equal(images[some])


def test_the_samples_are_those_of_evaluations() -> None:
    generator = small_generator("dcgan", conditional=True)
    indices = range(300)
    images = generator.images(generator.latents(1, indices), generator.labels(indices))
    expected = draw(generator.network, generator.latent_dim, 300, 1, torch.arange(300) % 10, generator.spec)
    assert (to_uint8(images).int() - expected.int()).abs().max() <= 1  # a last bit may cross a half


def test_labels() -> None:
    generator = small_generator("mlp", conditional=True)
    alternating, sevens = generator.labels([3, 12, 40]), generator.labels([3, 12, 40], "seven")
    assert alternating is not None and alternating.tolist() == [3, 2, 0]
    assert sevens is not None and sevens.tolist() == [7, 7, 7]
    with pytest.raises(ValueError, match="is called with labels"):
        generator.images(generator.latents(0, [0]))
    plain = small_generator("mlp")
    assert plain.labels([1, 2]) is None
    with pytest.raises(UserError, match="--class 3: the run is not conditional"):
        plain.labels([1], 3)


def test_truncated_latents_follow_the_truncated_normal_distribution() -> None:
    latents = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    for t in (0.3, 1.0, 2.0):
        moved = TrainedGenerator.truncate(latents, t)
        assert moved.shape == latents.shape and moved.dtype == latents.dtype and moved.abs().max() <= t + 1e-6
        assert (moved.flatten()[latents.flatten().argsort()].diff() >= 0).all()  # each keeps its rank
        normal = Normal(0.0, 1.0)
        low, high = normal.cdf(torch.tensor(-t)), normal.cdf(torch.tensor(t))
        uniform = (normal.cdf(moved) - low) / (high - low)  # of the truncated distribution
        for quantile in (0.1, 0.5, 0.9):
            assert uniform.quantile(quantile).item() == pytest.approx(quantile, abs=0.01)
    far = torch.tensor([[-9.0, -3.0, 0.0, 3.0, 9.0]])
    torch.testing.assert_close(TrainedGenerator.truncate(far, 40.0), far)
    assert TrainedGenerator.truncate(far, 1e-3).abs().max() <= 1e-3
    assert TrainedGenerator.truncate(far, 1.0).flip(1).equal(-TrainedGenerator.truncate(far, 1.0))
    with pytest.raises(ValueError, match="a truncation of 0: must be above 0"):
        TrainedGenerator.truncate(latents, 0)


def test_a_checkpoint_names_the_classes() -> None:
    """Older ones don't; then their numbers are their names."""
    images, labels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 2])

    def names(*classes: str) -> tuple[str, ...]:
        return class_names(data_content(PackedImages(images, labels, classes)))

    assert names("cat", "dog", "3 - bird") == ("cat", "dog", "3 - bird")
    assert names("0 - zero", "1 - one", "2 - two") == names() == ("0", "1", "2")  # as torchvision names MNIST's
    assert class_names(data_content(PackedImages(images))) == ()
    of_numpy = data_content(PackedImages(images, labels, tuple(np.array(["a", "b", "c"]))))["classes"]
    assert of_numpy == ["a", "b", "c"] and {type(name) for name in of_numpy} == {str}
    assert class_names({"num_classes": 2}) == class_names({"num_classes": 2, "classes": ["a"]}) == ("0", "1")
