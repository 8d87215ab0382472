"""What is compared with what: scores of generators whose samples are known."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import small_config
from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages, normalise
from gan_exp.data.toys import ring
from gan_exp.errors import UserError
from gan_exp.evaluation import evaluator as module
from gan_exp.evaluation.availability import missing_for
from gan_exp.evaluation.evaluator import Evaluator, choose, default_count
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.metrics import entries
from gan_exp.metrics.distances import frechet_distance
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import BY_NAME, FID, MANIFOLDS, METRICS, PANEL
from gan_exp.metrics.metric import Metric, Score


class Replay(nn.Module):
    """Makes the images it was given, chosen by the latents; `noise` on them."""

    def __init__(self, images: Tensor, noise: float = 0.0) -> None:
        super().__init__()
        self.images, self.noise = nn.Parameter(normalise(images), requires_grad=False), noise

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        chosen = (latents[:, 0].abs() * 1e6).long() % len(self.images)
        return self.images[chosen] + self.noise * torch.randn_like(self.images[chosen])


CONFIG = small_config("mlp")


def make(data: PackedImages, held_out: PackedImages | None, *metrics: str, split: str = "train") -> Evaluator:
    reals = data if split == "train" or held_out is None else held_out
    chosen = [BY_NAME[name] for name in metrics]
    return Evaluator(CONFIG.latent_dim, CONFIG.conditional, data, held_out, reals, pixel_features(data.spec), chosen)


@pytest.mark.parametrize("split", ["train", "held_out"])
@pytest.mark.parametrize("most", [50_000, 300])
def test_neighbours_point_into_the_training_images(split: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that copies them is found out, and each copy beside its original."""
    monkeypatch.setattr(module, "MOST_REALS", most)
    train, held_out = digits().split_by_hash(0.2)
    found = make(train, held_out, "fid", "neighbours", split=split).measure(Replay(train.images), 100, seed=0)
    assert found.nearest is not None
    assert torch.equal(train.images[found.nearest.indices], found.samples)
    assert found.scores["nearer"] == 1 and found.scores["nearest"] == 0
    honest = make(train, held_out, "neighbours").measure(Replay(held_out.images), 400, seed=0)
    assert honest.scores["nearer"] < 0.05
    assert honest.scores["nearest"] == pytest.approx(honest.scores["nearest_held_out"], rel=0.1)


def test_split_says_what_samples_are_compared_with() -> None:
    train, held_out = digits().split_by_hash(0.3)
    dark = PackedImages(held_out.images // 2)
    generator = Replay(dark.images)
    against_train = make(train, dark, "fid").measure(generator, 500, seed=0).scores["fid"]
    against_itself = make(train, dark, "fid", split="held_out").measure(generator, 500, seed=0).scores["fid"]
    assert against_itself < 0.1 * against_train


def test_fewer_reals_are_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REALS", 200)
    data = digits()
    evaluator = make(data, None, "fid")
    assert evaluator.real_count == 200
    found = evaluator.measure(Replay(data.images), 300, seed=1)
    reals, fakes = (normalise(images).flatten(1) for images in (data.images[choose(1797, 200)], found.samples))
    assert found.scores["fid"] == pytest.approx(frechet_distance(reals, fakes), rel=1e-6)


class Recall(nn.Module):
    """Makes images of the class it is given, chosen by the latents."""

    def __init__(self, data: PackedImages) -> None:
        super().__init__()
        assert data.labels is not None
        images = [normalise(data.images[data.labels == label]) for label in range(data.spec.num_classes)]
        self.images = nn.ParameterList(nn.Parameter(one, requires_grad=False) for one in images)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        chosen = (latents[:, 0].abs() * 1e6).long().tolist()
        return torch.stack([self.images[k][c % len(self.images[k])] for c, k in zip(chosen, labels, strict=True)])


def test_conditional_samples_have_the_datas_classes_also_where_only_the_first_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entries, "MOST_IN_MANIFOLDS", 400)
    data, config = digits(), CONFIG.model_copy(update={"conditional": True})
    evaluator = Evaluator(
        config.latent_dim, config.conditional, data, None, data, pixel_features(data.spec), (MANIFOLDS,)
    )
    samples, labels = evaluator.sample(Recall(data), 1797, seed=0)
    assert labels is not None and len(samples) == 1797
    assert torch.bincount(labels).tolist() == evaluator.data_histogram()
    assert (torch.bincount(labels[:400], minlength=10) > 20).all()
    assert evaluator.measure(Recall(data), 1797, seed=0).scores["recall"] > 0.9


def test_the_mixture_itself_covers_its_modes() -> None:
    data = ring(count=5000)
    found = make(data, None, "modes", "manifolds").measure(Replay(data.images), default_count(data), seed=0)
    assert len(found.samples) == 2500
    assert found.scores["modes"] == 8 and found.scores["high_quality"] == pytest.approx(0.989, abs=0.01)
    assert found.scores["mode_kl"] < 0.01 and found.scores["precision"] > 0.99
    lost = data.images[data.labels != 3]  # type: ignore[index]
    assert make(data, None, "modes").measure(Replay(lost), 2500, seed=0).scores["modes"] == 7


def test_names() -> None:
    scores = {score.name: score for metric in METRICS for score in metric.scores}
    assert scores["fid"].tag("cnn") == "fid_cnn" and scores["modes"].tag("cnn") == "modes"
    assert scores["logit_fake"].tag("x") == "logit_fake"
    assert len(scores) == sum(len(metric.scores) for metric in METRICS)


def test_too_few_images_to_compare_with_are_blamed_themselves() -> None:
    """Not the number of samples, which can't help."""
    train, held_out = (digits().select(torch.arange(*part)) for part in ((3, 1797), (0, 3)))
    with pytest.raises(UserError, match=r"--metrics manifolds: needs at least 6 .* there are 3 held-out images: train"):
        make(train, held_out, "manifolds", split="held_out")
    assert missing_for(MANIFOLDS, train, held_out, "pixels", held_out) is not None
    assert missing_for(FID, train, held_out, "pixels", held_out) is None
    assert missing_for(MANIFOLDS, held_out, None, "pixels") == (
        "needs at least 6 images to compare with, and there are 3 training images: train on more"
    )
    found = make(train, held_out, "fid", "neighbours").measure(Replay(train.images), 20, seed=0)
    assert found.scores["nearer"] == 1


def test_samples_that_are_not_finite_are_blamed_on_the_generator() -> None:
    points = ring(count=50)
    evaluator = make(points, None, "fid")
    with pytest.raises(
        UserError, match=r"the samples can't be measured: fake features: contains values .* an earlier one"
    ):
        evaluator.measure(Replay(points.images, noise=torch.inf), 20, seed=0)


def test_the_datas_own_scores_are_those_of_other_images_in_the_samples_place() -> None:
    train, held_out = digits().split_by_hash(0.2)
    evaluator = make(train, held_out, "fid", "manifolds", "neighbours")
    found = evaluator.data_scores(200)
    assert found.images == 200 and found.what == "200 held-out images" and found.scores["nearer"] == 0.01
    features = [
        evaluator.extractor.embed(images).features
        for images in (
            train.images[choose(len(train.images), 50_000)],
            held_out.images[choose(len(held_out.images), 200)],
        )
    ]
    assert found.scores["fid"] == pytest.approx(frechet_distance(*features))
    assert 0.8 < found.scores["precision"] <= 1 and found.scores["nearest"] == found.scores["nearest_held_out"]
    other_way = make(train, held_out, "fid", split="held_out").data_scores(10_000)
    assert other_way.what == f"{len(train.images):,} training images"


def test_without_held_out_images_one_half_is_compared_with_the_other() -> None:
    found = make(digits(), None, "fid", "manifolds").data_scores(10_000)
    assert found.what == "898 of the training images against 899 others" and found.images == 898
    assert found.scores["coverage"] > 0.8
    tiny = make(digits().select(torch.arange(9)), None, "fid", "manifolds").data_scores(100)
    assert set(tiny.scores) == {"fid"}  # of four images there are no manifolds


def test_images_of_one_pixel() -> None:
    """Features of one dimension have scores too."""
    data = PackedImages(torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1))
    found = make(data, None, "fid", "kid", "manifolds").measure(Replay(data.images), 50, seed=0)
    assert found.scores["precision"] == 1 and found.scores["fid"] < 0.1


def test_one_evaluator_for_several_runs() -> None:
    data = digits()
    evaluator = make(data, None, "fid")
    other = evaluator.for_run(CONFIG.latent_dim, conditional=True)
    assert (
        other.sample(Recall(data), 10, seed=0)[1] is not None
        and evaluator.sample(Replay(data.images), 10, 0)[1] is None
    )
    assert other.extractor is evaluator.extractor


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        ({"typo": 1.0}, "own: its function returned typo; it must return a dict of sharp"),
        (3.0, "own: its function returned float; it must return a dict of sharp"),
    ],
)
def test_a_metric_of_the_users_own_that_returns_something_else(returned: Any, sentence: str) -> None:
    own = Metric("own", (Score("sharp", "sharpness", "higher"),), lambda inputs: returned)
    data = digits()
    evaluator = Evaluator(CONFIG.latent_dim, False, data, None, data, pixel_features(data.spec), [own])
    with pytest.raises(UserError, match=sentence):
        evaluator.measure(Replay(data.images), 20, seed=0)


def test_a_number_on_a_tensor_is_a_number() -> None:
    own = Metric(
        "own", (Score("sharp", "sharpness", "higher"),), lambda inputs: {"sharp": inputs.samples.float().mean()}
    )
    data = digits()
    evaluator = Evaluator(CONFIG.latent_dim, False, data, None, data, pixel_features(data.spec), [own])
    found = evaluator.measure(Replay(data.images), 20, seed=0).scores
    assert found == {"sharp": pytest.approx(40, abs=40)} and isinstance(found["sharp"], float)
    assert evaluator.data_scores(20).scores.keys() == {"sharp"}


@pytest.mark.parametrize("with_held_out", [True, False])
def test_the_panel_compares_samples_as_other_real_images(with_held_out: bool) -> None:
    """So these have the ratio 1, copies of the data a lower one, and darker images a far higher one."""
    data = PackedImages(digits().images)
    train, held_out = data.split_by_hash(0.3) if with_held_out else (data, None)
    extractor = replace(pixel_features(data.spec), name="ssl")  # a panel compares in the usual features alone
    dark = FeatureExtractor("mlp", "", lambda images: extractor.extract(images // 2))
    evaluator = Evaluator(CONFIG.latent_dim, False, train, held_out, train, extractor, [PANEL], [extractor, dark])
    own = evaluator.data_scores(10_000)
    assert own.scores["panel"] == 1 and own.scores.keys() == {"panel", "panel_ssl", "panel_mlp"}
    copies = evaluator.measure(Replay(train.images), own.images, seed=0).scores
    assert 0 < copies["panel"] < 1.5 and copies["panel_ssl"] < 1.5 * own.scores["panel_ssl"]
    assert evaluator.measure(Replay(train.images // 2), own.images, seed=0).scores["panel"] > 10


def test_each_image_is_embedded_once_by_each_extractor() -> None:
    data, seen = PackedImages(digits().images), {"ssl": 0, "mlp": 0}
    pixels = pixel_features(data.spec)

    def counted(name: str) -> FeatureExtractor:
        def extract(images: Tensor) -> Embedding:
            seen[name] += len(images)
            return pixels.extract(images)

        return FeatureExtractor(name, "", extract)

    extractor, other = counted("ssl"), counted("mlp")
    evaluator = Evaluator(CONFIG.latent_dim, False, data, None, data, extractor, [FID, PANEL], [extractor, other])
    for seed in range(3):
        evaluator.measure(Replay(data.images), 50, seed)
    assert seen["ssl"] == 1797 + 898 + 3 * 50  # the second half of the data again, in the place of samples
    assert seen["mlp"] == 899 + 898 + 3 * 50
