"""Micro-batches that don't divide a batch are refused, and BatchNorm, which they change, is spoken of."""

import pytest
from torch import nn

from builders import small_config
from gan_exp.config.contradictions import refuse_new_with
from gan_exp.config.parts import refuse_other_statistics, refuse_uneven_parts, statistics_of_parts
from gan_exp.errors import UserError
from single_steps import CPU

PLAIN, NORMALISED = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize(
    ("words", "processes", "sentence"),
    [
        ("micro_batch_size=10", 1, "micro_batch_size=10: must divide batch_size=16; set micro_batch_size=8"),
        ("micro_batch_size=3", 1, "micro_batch_size=3: must divide batch_size=16; set micro_batch_size=2"),
        ("micro_batch_size=2 pac=4", 1, "batch_size=16 and be a multiple of pac=4; set micro_batch_size=4"),
        ("micro_batch_size=12 pac=4", 1, "batch_size=16 and be a multiple of pac=4; set micro_batch_size=8"),
        (
            "batch_size=24 micro_batch_size=8",
            2,
            "micro_batch_size=8: must divide the 12 images that each of 2 processes has of a batch; set "
            "micro_batch_size=6",
        ),
    ],
)
def test_uneven_micro_batches_are_refused(words: str, processes: int, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        refuse_uneven_parts(small_config("mlp", *words.split()), processes)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("words", "processes"),
    [("micro_batch_size=8", 1), ("micro_batch_size=8", 4), ("micro_batch_size=5", 4), ("micro_batch_size=100", 1)],
)
def test_even_ones_and_larger_ones_are_not(words: str, processes: int) -> None:
    config = small_config("points", "batch_size=16")
    refuse_uneven_parts(config.model_copy(update={"micro_batch_size": int(words.partition("=")[2])}), processes)


def test_batch_norm_is_told_of() -> None:
    config = small_config("mlp", "micro_batch_size=8")
    assert statistics_of_parts(config, {"generator": NORMALISED, "discriminator": PLAIN}) == [
        "micro_batch_size=8: BatchNorm in the generator takes its statistics from 8 images at a time, not from all 16"
    ]
    (line,) = statistics_of_parts(config, {"generator": NORMALISED, "discriminator": NORMALISED})
    assert "the generator and the discriminator takes" in line
    assert statistics_of_parts(config, {"generator": PLAIN, "discriminator": PLAIN}) == []
    for words in ("micro_batch_size=null", "micro_batch_size=32"):
        assert statistics_of_parts(small_config("mlp", words), {"generator": NORMALISED}) == []


def test_single_samples_are_refused() -> None:
    with pytest.raises(UserError, match=r"^micro_batch_size=1: the generator's.*set micro_batch_size=2 or more"):
        refuse_new_with(
            small_config("mlp", "micro_batch_size=1"), {"generator": NORMALISED, "discriminator": PLAIN}, CPU
        )


def test_a_run_goes_on_with_other_micro_batches_where_they_change_nothing() -> None:
    normalised, plain = {"generator": NORMALISED, "discriminator": PLAIN}, {"generator": PLAIN}
    config, of_eight = small_config("mlp", "micro_batch_size=8"), {"config": {"micro_batch_size": 8}}
    refuse_other_statistics({}, config, plain)
    refuse_other_statistics(of_eight, config, normalised)
    refuse_other_statistics({}, small_config("mlp", "micro_batch_size=16"), normalised)
    with pytest.raises(UserError, match=r"micro_batch_size=8: .* the generator .* 16 images .* from 8, .*size=16, or"):
        refuse_other_statistics({"config": {}}, config, normalised)
    with pytest.raises(UserError, match=r"micro_batch_size=null: .* 8 images .* from 16, "):
        refuse_other_statistics(of_eight, small_config("mlp"), normalised)


def test_on_another_number_of_processes_batch_norm_has_as_many_images() -> None:
    """It is synchronised: of the micro-batches of all processes."""
    networks, of_eight = {"generator": NORMALISED}, {"config": {"micro_batch_size": 8}, "processes": 1}
    refuse_other_statistics(of_eight, small_config("mlp", "micro_batch_size=4"), networks, 2)
    refuse_other_statistics({"config": {}, "processes": 4}, small_config("mlp"), networks, 2)
    with pytest.raises(UserError, match=r"8 images .* from 16, .* set micro_batch_size=4,"):
        refuse_other_statistics(of_eight, small_config("mlp", "micro_batch_size=8"), networks, 2)
    (line,) = statistics_of_parts(small_config("mlp", "micro_batch_size=4"), networks, 2)
    assert line.endswith("from 8 images at a time, not from all 16")
    assert statistics_of_parts(small_config("mlp", "micro_batch_size=8"), networks, 2) == []
