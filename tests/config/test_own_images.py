"""What a folder of images alone chooses, from the number and the sizes of its images and the device."""

from typing import Any

import pytest

from gan_exp.config.own_images import Choice, Recipe, advice, choose_recipe, choose_settings, told
from gan_exp.data.glance import Glance

RECIPE = Recipe(steps=10_000, batch_size=32, gamma=1.0)


def glance(count: int, *sizes: tuple[int, int], parted: bool = False) -> Glance:
    return Glance(count, sizes or ((128, 128),), parted)


def chosen(
    seen: Glance,
    on_gpu: bool = False,
    size: Any = None,
    steps: int | None = None,
    recipe: Recipe = RECIPE,
    batch_size: int | None = None,
) -> dict[str, Any]:
    choices = choose_recipe(seen, on_gpu, size)
    shape = next((choice.value for choice in choices if choice.key == "dataset.size"), size)
    found = [*choices, *choose_settings(seen, recipe, shape, steps, batch_size, on_gpu)]
    assert all(choice.why for choice in found) and len({choice.key for choice in found}) == len(found)
    return {choice.key: choice.value for choice in found}


@pytest.mark.parametrize(
    ("count", "side", "on_gpu", "recipe"),
    [
        (30, 128, False, "folder_few"),
        (1999, 128, True, "folder_few"),
        (2000, 128, False, "folder_many"),
        (2000, 128, True, "folder_256"),
        (2000, 64, True, "folder_many"),
        (100_000, 512, False, "folder_many"),
        (100_000, 512, True, "folder_256"),
    ],
)
def test_the_recipe(count: int, side: int, on_gpu: bool, recipe: str) -> None:
    assert chosen(glance(count, (side, side)), on_gpu)["experiment"] == recipe


@pytest.mark.parametrize(
    ("sizes", "on_gpu", "size"),
    [
        ([(128, 128)], False, 64),
        ([(128, 128)], True, 128),
        ([(127, 300)], True, 64),
        ([(64, 64)], False, 64),
        ([(63, 63)], False, 63),  # small images of one size keep it
        ([(28, 28)], True, 28),
        ([(48, 60)], False, [48, 60]),
        ([(63, 63), (60, 70)], False, 32),
        ([(20, 60)], False, 16),
        ([(7, 7)], False, 16),  # enlarged: no network is made for less
        ([(2000, 2000)], True, 256),
        ([(300, 300)] * 9 + [(20, 20)], True, 256),  # one in ten may be smaller
        ([(300, 300)] * 8 + [(20, 20)] * 2, True, 16),
        ([(200, 300)] * 10, False, [64, 96]),  # a common shape is kept
        ([(300, 200)] * 10, True, [192, 128]),
        ([(200, 300)] * 8 + [(200, 200)] * 2, False, 64),
        ([(200, 210)] * 10, False, 64),
        ([(200, 900)] * 10, False, 64),  # too long for a network
        ([], False, 64),  # no header could be read
    ],
)
def test_the_size(sizes: list[tuple[int, int]], on_gpu: bool, size: int | list[int]) -> None:
    assert chosen(Glance(3000, sizes, False), on_gpu)["dataset.size"] == size


def test_a_given_size_is_not_chosen_and_decides_what_follows() -> None:
    assert "dataset.size" not in chosen(glance(3000), True, size=64)
    assert chosen(glance(3000), True, size=64)["experiment"] == "folder_many"
    assert chosen(glance(3000), True, size=[256, 128])["experiment"] == "folder_256"


@pytest.mark.parametrize(
    ("size", "gamma", "found"),
    [(64, 1.0, None), (32, 1.0, 0.25), (128, 1.0, 4.0), (256, 0.5, 8.0), ([64, 96], 1.0, None), (128, None, None)],
)
def test_the_penalty_is_proportional_to_the_area(size: Any, gamma: float | None, found: float | None) -> None:
    assert chosen(glance(3000), size=size, recipe=RECIPE._replace(gamma=gamma)).get("penalty.gamma") == found


@pytest.mark.parametrize(
    ("size", "batch_size", "gamma"), [(64, 64, 0.5), (64, 32, None), (128, 16, 8.0), (32, 8, None)]
)
def test_the_penalty_is_inversely_proportional_to_the_batch(size: int, batch_size: int, gamma: float | None) -> None:
    found = chosen(glance(3000), size=size, batch_size=batch_size)
    assert found.get("penalty.gamma") == gamma and "batch_size" not in found


@pytest.mark.parametrize(("size", "gamma"), [(256, None), (128, 0.25)])
def test_a_recipe_may_be_for_another_size(size: int, gamma: float | None) -> None:
    assert chosen(glance(3000), True, size, recipe=RECIPE._replace(side=256)).get("penalty.gamma") == gamma


@pytest.mark.parametrize(("count", "batch_size"), [(1, 2), (7, 4), (30, 16), (31, 16), (32, None), (3000, None)])
def test_a_batch_is_not_larger_than_the_folder(count: int, batch_size: int | None) -> None:
    assert chosen(glance(count)).get("batch_size") == batch_size


@pytest.mark.parametrize(
    ("size", "on_gpu", "samples", "checkpoints", "log"),
    [(128, False, 62, 250, 25), (256, False, 16, 62, 6), (256, True, 250, 1000, None), ([64, 96], False, 170, 670, 67)],
)
def test_slow_steps_are_told_of_more_often(
    size: Any, on_gpu: bool, samples: int, checkpoints: int, log: int | None
) -> None:
    found = chosen(glance(3000), on_gpu, size)
    assert (found["sample_every_steps"], found["checkpoint_every_steps"]) == (samples, checkpoints)
    assert found.get("log_every_steps") == log


def test_images_that_are_not_mirrored() -> None:
    assert "dataset.mirror" not in chosen(glance(300)._replace(letters=True))
    assert "dataset.mirror" not in chosen(glance(300), recipe=RECIPE._replace(mirrors=True))
    assert "one letter or digit" in advice(glance(3000)._replace(letters=True))[0]


@pytest.mark.parametrize(("count", "mirror"), [(30, True), (19_999, True), (20_000, None)])
def test_mirroring(count: int, mirror: bool | None) -> None:
    assert chosen(glance(count)).get("dataset.mirror") is mirror


def test_a_larger_size_that_most_images_fill_is_told() -> None:
    def why(large: int, small: int, on_gpu: bool = False) -> str:
        seen = Glance(300, [(200, 300)] * large + [(60, 90)] * small, False)
        return next(choice.why for choice in choose_recipe(seen, on_gpu, None) if choice.key == "dataset.size")

    assert why(8, 2) == "the largest power of two that the images fill; dataset.size=[64,96] would enlarge 20%"
    assert why(4, 6) == "the largest power of two that the images fill"
    assert "would enlarge" not in why(10, 0) and "would enlarge" not in why(10, 0, on_gpu=True)


@pytest.mark.parametrize(
    ("count", "parted", "share"),
    [(49, False, 0), (50, False, 0.1), (3000, False, 0.1), (100_000, False, 0.05), (3000, True, None)],
)
def test_what_is_held_out(count: int, parted: bool, share: float | None) -> None:
    assert chosen(glance(count, parted=parted)).get("dataset.held_out") == share


@pytest.mark.parametrize(
    ("count", "given", "steps", "samples", "checkpoints"),
    [
        (3000, None, None, 250, 1000),
        (30, None, 7500, 190, 750),  # of batch 16
        (60, None, 7500, 190, 750),
        (100_000, None, None, 250, 1000),  # on a CPU
        (100_000, 500, None, 50, 200),
        (3000, 4000, None, 100, 400),
    ],
)
def test_steps_and_intervals(count: int, given: int | None, steps: int | None, samples: int, checkpoints: int) -> None:
    found = chosen(glance(count), steps=given)
    assert found.get("steps") == steps
    assert found["sample_every_steps"] == samples and found["checkpoint_every_steps"] == checkpoints


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (1, "the first and the last suffice for 1 step"),
        (20, "the first and the last suffice for 20 steps"),
        (60, "1 grid in 60 steps"),
        (1000, "20 grids in 1,000 steps"),
    ],
)
def test_why_grids_are_so_many(steps: int, why: str) -> None:
    (choice,) = (one for one in choose_settings(glance(3000), RECIPE, 64, steps) if one.key == "sample_every_steps")
    assert choice.why == why


@pytest.mark.parametrize(("count", "steps"), [(3000, None), (100_000, 94_000), (10_000_000, 200_000)])
def test_many_images_are_all_seen_on_a_gpu(count: int, steps: int | None) -> None:
    found = chosen(glance(count, (64, 64)), True)
    assert found.get("steps") == steps and found["sample_every_steps"] == (250 if steps is None else 1000)


@pytest.mark.parametrize(("has_it", "precision"), [(True, "bf16"), (False, None)])
def test_a_cpu_that_multiplies_bfloat16_does_so(has_it: bool, precision: str | None) -> None:
    found = choose_settings(glance(3000), RECIPE, 64, cpu_with_bf16=has_it)
    assert {choice.key: choice.value for choice in found}.get("device.precision") == precision


@pytest.mark.parametrize(("count", "lines"), [(1999, 1), (2000, 0)])
def test_few_images_are_warned_of(count: int, lines: int) -> None:
    assert len(advice(glance(count))) == lines


def test_words_and_lines() -> None:
    found = choose_recipe(glance(3000, (200, 300)), False, None)
    assert [choice.word for choice in found] == ["experiment=folder_many", "dataset.size=[64,96]"]
    assert found[1].line == (
        "dataset.size=[64,96] (on a CPU, which is slow with larger ones; the images fill dataset.size=[128,192])"
    )


def test_advice_is_not_told_as_a_choice() -> None:
    lines = [Choice("dataset.size", [64, 96], "the images' own size").line, *advice(glance(30)._replace(letters=True))]
    assert [line.split()[0] for line in told(lines)] == ["chosen:", "note:", "note:"]
