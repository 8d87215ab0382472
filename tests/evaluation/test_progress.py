"""Lines of what takes long."""

import pytest
import torch

from builders import make_config
from gan_exp.data.digits import digits
from gan_exp.data.packed import to_uint8
from gan_exp.evaluation import progress
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.learning import SSL, train
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.progress import Progress
from gan_exp.evaluation.sampling import sample_latents
from gan_exp.metrics.entries import FID, KID
from gan_exp.models.sampling import generate_all
from gan_exp.training.build import build_generator


def test_only_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], list[str]()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    told = Progress(said.append, "features ssl", 100)
    for seconds, done in ((9, 10), (11, 0.5), (20, 25), (25, 30), (36, 29), (40, 50), (80, 100)):
        now[0] = seconds
        told(done)  # type: ignore[arg-type]
    assert said == ["features ssl: 25%, about 60 s to go", "features ssl: 50%, about 40 s to go"]


def test_training_and_features_tell_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    said: list[str] = []
    train(SSL, digits(), torch.device("cpu"), 300, Progress(said.append, "training ssl", 300))
    Division(say=said.append).embed(pixel_features(digits().spec), digits().images)
    Division().embed(pixel_features(digits().spec), digits().images)
    whats = [line.partition(":")[0] for line in said]
    assert whats == 2 * ["training ssl"] + 7 * ["features pixels of 1,797 images"]


def test_samples_and_scores_tell_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the samples are those of a generator that is given all at once."""
    said: list[str] = []
    data = digits()
    generator = build_generator(make_config("model=mlp", "latent_dim=8"), data.spec)
    evaluator = Evaluator(
        8, False, data, None, data, pixel_features(data.spec), [FID, KID], division=Division(say=said.append)
    )
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    measured = evaluator.measure(generator, 600, seed=0)
    latents = sample_latents(0, range(600), 8)
    assert torch.equal(measured.samples, generate_all(generator, latents, make=to_uint8))
    whats = [line.partition(":")[0] for line in said]
    assert whats == [*2 * ["600 samples"], *2 * ["features pixels of 600 images"], "scores of 600 samples"]
