"""All metrics of the package, one entry each: `gan-exp evaluate`, its table, `best_metric` and the docs read them.

The functions import what they compute with when they are called, so that the entries can be read without torch.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gan_exp.metrics.metric import Metric, Need, Score

if TYPE_CHECKING:
    from gan_exp.metrics.inputs import MetricInputs, Reference

MOST_IN_PANEL = 10_000  # samples: each extractor looks at all of them
MOST_IN_MANIFOLDS = 5_000  # of each side: every distance is computed
MOST_NEIGHBOURS = 1_000  # samples, and held-out images, whose nearest training image is looked for


def _fid(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.distances import FrechetReference

    reference = inputs.reference
    data = reference.once("fid", lambda: FrechetReference(reference.features.to(inputs.device)))
    return {"fid": data.distance(inputs.embedding.features.to(inputs.device))}


FID = Metric(
    "fid",
    (Score("fid", "distance of the samples from the data", "lower"),),
    _fid,
    least_reals=2,
)


def _panel(inputs: "MetricInputs") -> Mapping[str, float]:
    reference = inputs.reference.panel
    assert inputs.panel is not None and reference is not None
    found = reference.compare(inputs.panel, inputs.device)
    sure = {} if found.recognised is None else {"recognised": found.recognised}
    return {"panel": found.worst, **sure} | {f"panel_{name}": value for name, value in found.distances.items()}


def _member(name: str, meaning: str, needs: tuple[Need, ...] = ()) -> Score:
    return Score(f"panel_{name}", meaning, "lower", of_features=False, needs=needs, detail=True)


LABELS = (Need.CLASSIFIERS,)
UNLABELLED = (Need.NO_LABELS,)
PANEL = Metric(
    "panel",
    (
        Score("panel", "largest of the distances below, each relative to the data's own", "lower", of_features=False),
        Score("recognised", "share of samples that all classifiers are sure of", "higher", False, LABELS),
        _member("cnn", "distance in a convolutional classifier with global averages", LABELS),
        _member("cnn_early", "the same in an earlier layer: texture", LABELS),
        _member("lenet", "distance in a convolutional classifier that keeps the layout", LABELS),
        _member("lenet_early", "the same in an earlier layer: texture", LABELS),
        _member("mlp", "distance in a classifier of dense layers", LABELS),
        _member("mlp_early", "the same in its first layer", LABELS),
        _member("ssl", "distance in a network trained without labels", UNLABELLED),
        _member("ssl_early", "the same in an earlier layer: texture", UNLABELLED),
        _member("random", "distance in a network with random weights", UNLABELLED),
        _member("random_early", "the same in an earlier layer: texture", UNLABELLED),
        _member("autoencoder", "distance in a network that restores images"),
        _member("autoencoder_early", "the same in an earlier layer: texture"),
        _member("pixels", "distance of the pixels, or of projections of them"),
    ),
    _panel,
    needs=(Need.PANEL,),
    least_reals=4,  # two halves
    protocol=lambda samples, reals: {"samples": min(MOST_IN_PANEL, samples)},
)


def _kid(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.distances import KernelReference

    reference = inputs.reference
    kernel = reference.once("kid", lambda: KernelReference(reference.features))
    distance, spread = kernel.distance(inputs.embedding.features.to(inputs.device), inputs.seed)
    return {"kid": distance, "kid_subset_sd": spread}


def _kid_protocol(samples: int, reals: int) -> Mapping[str, int]:
    from gan_exp.metrics.distances import KERNEL_SUBSET_SIZE, KERNEL_SUBSETS

    return {"subsets": KERNEL_SUBSETS, "subset_size": min(KERNEL_SUBSET_SIZE, samples, reals)}


KID = Metric(
    "kid",
    (
        Score("kid", "another distance, unbiased: may be below 0", "lower"),
        Score("kid_subset_sd", "spread of kid over its subsets", None),
    ),
    _kid,
    least_reals=2,
    protocol=_kid_protocol,
)


def _score(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.distances import class_score

    assert inputs.embedding.logits is not None
    return {"score": class_score(inputs.embedding.logits.to(inputs.device), inputs.seed).mean}


def _score_protocol(samples: int, reals: int) -> Mapping[str, int]:
    from gan_exp.metrics.distances import score_splits

    return {"splits": score_splits(samples)}


SCORE = Metric(
    "score",
    (Score("score", "certain classes, all equally frequent", "higher"),),
    _score,
    needs=(Need.CLASS_PROBABILITIES,),
    protocol=_score_protocol,
)


def _manifolds(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.neighbours import K_NEAREST, compare_manifolds, squared_radii

    reference, fake = inputs.reference, inputs.embedding.features
    count = min(len(reference.features), len(fake), MOST_IN_MANIFOLDS)  # equally many of both
    real, fake, radii = reference.features[:count].to(inputs.device), fake[:count].to(inputs.device), None
    if count > K_NEAREST:
        radii = reference.once(("manifolds", count), lambda: squared_radii(real).cpu()).to(inputs.device)
    return compare_manifolds(real, fake, real_radii=radii)._asdict()


def _manifolds_protocol(samples: int, reals: int) -> Mapping[str, int]:
    from gan_exp.metrics.neighbours import K_NEAREST

    return {"neighbours": K_NEAREST, "of_each": min(MOST_IN_MANIFOLDS, samples, reals)}


MANIFOLDS = Metric(
    "manifolds",
    (
        Score("precision", "share of samples that look like data", "higher"),
        Score("recall", "share of the data that samples look like", "higher"),
        Score("density", "how densely the data surrounds samples", "higher"),
        Score("coverage", "share of the data with a sample nearby", "higher"),
    ),
    _manifolds,
    least_reals=6,  # each has five neighbours
    protocol=_manifolds_protocol,
)


def _classes(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.modes import count_labels, kl_divergence

    expected = inputs.reference.class_counts
    assert expected is not None
    return {"class_kl": kl_divergence(count_labels(inputs.embedding.labels, len(expected)), expected)}


CLASSES = Metric(
    "classes",
    (
        Score(
            "class_kl",
            "KL divergence of the class frequencies",
            "lower",
            not_finite="infinite: samples are of a class that the data compared with lacks",
        ),
    ),
    _classes,
    needs=(Need.DATA_CLASSES,),
)


def _modes(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.modes import cover_labels, cover_mixture, join_digits

    reference = inputs.reference
    if reference.mixture is not None:
        mixture = cover_mixture(inputs.samples.flatten(1), *reference.mixture)
        return {"modes": mixture.modes, "high_quality": mixture.high_quality, "mode_kl": mixture.kl}
    counts = reference.class_counts
    assert counts is not None
    stacked = cover_labels(join_digits(inputs.embedding.labels), counts.new_ones(counts.shape))
    return {"modes": stacked.modes, "mode_kl": stacked.kl}


MODES = Metric(
    "modes",
    (
        Score("modes", "number of modes found", "higher", of_features=False),
        Score(
            "high_quality",
            "share of samples within 3 sigma of a mode",
            "higher",
            of_features=False,
            needs=(Need.MIXTURE,),
        ),
        Score("mode_kl", "KL divergence of the modes' frequencies", "lower", of_features=False),
    ),
    _modes,
    needs=(Need.MODES,),
)


def _neighbours(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.neighbours import compare_with_held_out

    held_out = inputs.reference.held_out_distances
    assert inputs.nearest is not None and held_out is not None
    found = compare_with_held_out(inputs.nearest.distances, held_out)
    return {"nearest": found.sample_distance, "nearest_held_out": found.held_out_distance, "nearer": found.nearer}


def _neighbours_of_data(reference: "Reference") -> Mapping[str, float]:
    assert reference.held_out_distances is not None
    median = reference.held_out_distances.median().item()
    return {"nearest": median, "nearest_held_out": median, "nearer": 0.01}


NEIGHBOURS = Metric(
    "neighbours",
    (
        Score("nearest", "median distance to the nearest training image", None),
        Score("nearest_held_out", "the same of held-out images", None),
        Score("nearer", "share of near copies; 0.01 without memorising", "lower"),
    ),
    _neighbours,
    needs=(Need.HELD_OUT,),
    data_scores=_neighbours_of_data,
    protocol=lambda samples, reals: {"samples": min(MOST_NEIGHBOURS, samples)},
)


def _discriminator(inputs: "MetricInputs") -> Mapping[str, float]:
    from gan_exp.metrics.overfitting import overfitting

    logits = inputs.discriminator
    assert logits is not None
    scores = {f"logit_{kind}": of.mean().item() for kind, of in logits._asdict().items() if of is not None}
    if logits.held_out is not None:
        scores["logit_overfitting"] = overfitting(logits.train, logits.held_out)
    return scores


DISCRIMINATOR = Metric(
    "discriminator",
    (
        Score("logit_train", "D's mean logit on training images", None, of_features=False),
        Score("logit_held_out", "D's mean logit on held-out images", None, of_features=False, needs=(Need.HELD_OUT,)),
        Score("logit_fake", "D's mean logit on samples", None, of_features=False),
        Score(
            "logit_overfitting",
            "above 0.5 D memorises training images",
            None,
            of_features=False,
            needs=(Need.HELD_OUT,),
        ),
    ),
    _discriminator,
    needs=(Need.DISCRIMINATOR,),
)


METRICS = (FID, KID, PANEL, SCORE, MANIFOLDS, CLASSES, MODES, NEIGHBOURS, DISCRIMINATOR)
BY_NAME = {metric.name: metric for metric in METRICS}
