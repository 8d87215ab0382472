"""Several seeds: the discriminator is measured once, and a score may have one value only."""

import math

import torch
from torch import Tensor, nn

from gan_exp.data.digits import digits
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.report import summarise
from gan_exp.evaluation.seeds import measure_seeds
from gan_exp.metrics.entries import DISCRIMINATOR, FID
from gan_exp.metrics.inputs import DiscriminatorLogits
from gan_exp.metrics.metric import Score


class Noise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, latents: Tensor) -> Tensor:
        return latents[:, :1, None, None].tanh().expand(-1, 1, 8, 8)


def test_the_discriminator_is_measured_with_the_first_seeds_samples() -> None:
    data, asked = digits(), []

    def discriminator(samples: Tensor) -> DiscriminatorLogits:
        asked.append(samples)
        return DiscriminatorLogits(torch.ones(3), None, torch.zeros(3))

    evaluator = Evaluator(4, False, data, None, data, pixel_features(data.spec), (FID, DISCRIMINATOR))
    said: list[str] = []
    found = measure_seeds(evaluator, Noise(), 20, 3, discriminator, said.append)
    assert len(asked) == 1 and torch.equal(asked[0], found[0].samples)
    assert [list(one.scores) for one in found] == [["fid", "logit_train", "logit_fake"], ["fid"], ["fid"]]
    assert len(said) == 4 and said[0].startswith("this takes about ") and said[3] == "seed 3 of 3 measured"
    assert set(evaluator.data_scores(20).scores) == {"fid"}


def test_summary_of_values_that_are_there_once_or_not_finite() -> None:
    scores = (Score("a", "", None), Score("b", "", None, of_features=False), Score("c", "", None, not_finite="why"))
    found = [{"a": 1.0, "b": 5.0, "c": 1.0}, {"a": 3.0, "c": math.inf}]
    assert summarise(found, (*scores, Score("d", "", None)), "cnn") == {
        "a_cnn": {"mean": 2.0, "sd": math.sqrt(2), "values": [1.0, 3.0]},
        "b": {"mean": 5.0, "sd": None, "values": [5.0]},
        "c_cnn": {"mean": None, "sd": None, "values": [1.0, None], "reason": "why"},
    }
