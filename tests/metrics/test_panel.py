"""Several extractors compare the same samples: the worst of their distances counts, and what they agree on."""

import pytest
import torch
from torch import Tensor

from gan_exp.metrics.distances import frechet_distance
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.panel import PanelReference, recognised


def normal(seed: int, count: int = 300, dim: int = 4) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


REAL = {"a": Embedding(normal(0), None, normal(1, dim=3)), "b": Embedding(normal(2))}
OWN = {"a": Embedding(normal(3), None, normal(4, dim=3)), "b": Embedding(normal(5))}


def test_the_worst_ratio_to_the_datas_own_distance_counts() -> None:
    far = Embedding(normal(6) + 3)
    found = PanelReference(REAL, OWN).compare({"a": OWN["a"], "b": far})
    own, distance = (
        frechet_distance(REAL["b"].features, OWN["b"].features),
        frechet_distance(REAL["b"].features, far[0]),
    )
    assert found.distances == {
        "a": pytest.approx(frechet_distance(REAL["a"].features, OWN["a"].features)),
        "a_early": pytest.approx(frechet_distance(normal(1, dim=3), normal(4, dim=3))),
        "b": pytest.approx(distance),
    }
    assert found.worst == pytest.approx(distance / own) and found.recognised is None


def test_no_extractor_alone_can_be_pleased() -> None:
    """Samples that are the data itself to one of two are as far as the other finds them, also by an early layer."""
    reference = PanelReference(REAL, OWN)
    for far in ({"b": Embedding(normal(6) + 3)}, {"a": Embedding(normal(0), None, normal(7, dim=3) + 3)}):
        assert reference.compare({**REAL, **far}).worst > 100
    assert reference.compare(REAL).worst < 0.01


def test_the_data_itself_has_the_ratio_one() -> None:
    assert PanelReference(REAL, OWN).compare(OWN).worst == 1


@pytest.mark.parametrize("count", [50, 1000])
def test_compared_at_equal_numbers(count: int) -> None:
    """A distance of fewer samples is larger, without being worse."""
    samples = {"a": Embedding(normal(8, count), None, normal(9, count, dim=3)), "b": Embedding(normal(10, count))}
    found = PanelReference(REAL, OWN).compare(samples)
    used = samples["b"].features[:300]
    assert found.distances["b"] == pytest.approx(frechet_distance(REAL["b"].features, used))
    own = frechet_distance(REAL["b"].features, OWN["b"].features[: len(used)])
    assert PanelReference({"b": REAL["b"]}, {"b": OWN["b"]}).compare({"b": samples["b"]}).worst == pytest.approx(
        found.distances["b"] / own
    )


def test_data_of_one_image_has_no_distance_to_divide_by() -> None:
    same = {"a": Embedding(torch.ones(20, 3))}
    assert PanelReference(same, same).compare({"a": Embedding(torch.ones(20, 3) * 2)}).worst > 1e6


def logits(*probabilities: tuple[float, int]) -> Tensor:
    """Of three classes, the named one with the given probability."""
    rows = torch.stack([torch.full((3,), (1 - share) / 2) for share, _ in probabilities])
    for row, (share, label) in zip(rows, probabilities, strict=True):
        row[label] = share
    return rows.log()


def test_recognised_is_what_all_are_sure_of() -> None:
    first = logits((0.95, 0), (0.95, 0), (0.95, 0), (0.95, 2))
    second = logits((0.95, 0), (0.85, 0), (0.95, 1), (0.99, 2))
    embeddings = {"a": Embedding(normal(0, 4), first), "b": Embedding(normal(0, 4), second)}
    assert recognised(embeddings) == 0.5  # the second is doubtful, and of the third they say different things
    assert recognised({**embeddings, "c": Embedding(normal(0, 4))}) == 0.5  # it knows no classes
    assert recognised({"a": embeddings["a"]}) == 1
    # Channels that are images of their own: both images of a sample.
    stacked = {name: Embedding(one.features[:2], one.logits.view(2, 2, 3)) for name, one in embeddings.items()}  # type: ignore[union-attr]
    assert recognised(stacked) == 0
    stacked = {name: Embedding(normal(0, 2), first[[0, 1, 3, 3]].view(2, 2, 3)) for name in "ab"}
    assert recognised(stacked) == 1
