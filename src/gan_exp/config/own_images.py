"""What `dataset=folder` alone chooses: a recipe and its settings for the images that the folder holds.

Words that the user gives always win. A run keeps what was chosen, with the reasons, in `chosen` of its config.yaml, so
that nothing is chosen again when it is resumed or repeated.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from gan_exp.data.glance import Glance

SIDES = (16, 32, 64, 128, 256)  # the image sizes to choose from, in pixels
FILLED_BY = 0.9  # a size is filled if so many of the images are at least as large
LARGEST_ON_CPU = 64  # a step takes four times as long with twice the side
SAME_ASPECT = 0.02  # relative difference
NEARLY_SQUARE = 1.1  # the sides' ratio up to which images are cut square
LONGEST = 2.0  # the sides' ratio beyond which they are, too

FEW = 2_000  # images
ENOUGH = 20_000  # images without their mirror images
TOO_FEW_TO_PART = 50
HELD_OUT, MOST_HELD_OUT = 0.1, 5_000
LOOKS = 30  # how often each image is seen at least, in a run
MOST_STEPS = 200_000
GAMMA_AT = 64  # pixels: the recipes' penalties are for this side


class Choice(NamedTuple):
    key: str
    value: Any
    why: str

    @property
    def word(self) -> str:
        """As on the command line."""
        value = str(self.value).lower() if isinstance(self.value, bool) else str(self.value).replace(" ", "")
        return f"{self.key}={value}"

    @property
    def line(self) -> str:
        return f"{self.word} ({self.why})"


class Recipe(NamedTuple):
    """What an experiment's file says; `gamma` is None where it has no penalty with one."""

    steps: int
    batch_size: int
    gamma: float | None


def choose_recipe(glance: Glance, on_gpu: bool, size: int | Sequence[int] | None) -> list[Choice]:
    """The experiment and, unless it is given, the images' size."""
    choices = [] if size is not None else [_choose_size(glance.sizes, on_gpu)]
    side = _shorter(choices[0].value if size is None else size)
    if glance.images < FEW:
        recipe = Choice("experiment", "folder_few", f"{glance.images:,} images are few: fewer than {FEW:,}")
    elif on_gpu and side > LARGEST_ON_CPU:
        recipe = Choice("experiment", "folder_256", f"{glance.images:,} images of {side} pixels or more, and a GPU")
    else:
        recipe = Choice("experiment", "folder_many", f"{glance.images:,} images, at least {FEW:,}")
    return [recipe, *choices]


def choose_settings(
    glance: Glance, recipe: Recipe, size: int | Sequence[int], steps: int | None = None, cpu_with_bf16: bool = False
) -> list[Choice]:
    """All else, by the number of images and their size, and by the number of `steps` if that is given."""
    count, side = glance.images, _shorter(size)
    found = _choose_held_out(glance)
    if count < ENOUGH:
        why = f"fewer than {ENOUGH:,} images; false if left and right matter, as in text"
        found.append(Choice("dataset.mirror", True, why))
    if recipe.gamma is not None and side != GAMMA_AT:
        gamma = float(f"{recipe.gamma * (side / GAMMA_AT) ** 2:.3g}")
        found.append(
            Choice("penalty.gamma", gamma, f"{recipe.gamma:g} at {GAMMA_AT} pixels, in proportion to the area")
        )
    if cpu_with_bf16:
        found.append(Choice("device.precision", "bf16", "this CPU computes convolutions faster so"))
    needed = min(LOOKS * count // recipe.batch_size, MOST_STEPS)
    if steps is None and needed > recipe.steps:
        steps = round_to_two_digits(needed)
        found.append(Choice("steps", steps, f"so that each image is seen about {LOOKS} times"))
    steps = recipe.steps if steps is None else steps
    found.append(Choice("sample_every_steps", _interval(steps / 40, 50, 1000), f"some forty grids of {steps:,} steps"))
    found.append(Choice("checkpoint_every_steps", _interval(steps / 10, 200, 5000), "some ten checkpoints"))
    return found


def advice(glance: Glance) -> list[str]:
    """What the user should know of such images."""
    if glance.images >= FEW:
        return []
    return [
        "few images are easily learned by heart: `gan-exp nearest RUN` shows how near the samples are to them; more "
        "images help most"
    ]


def without(choices: Sequence[Choice], keys: Collection[str]) -> list[Choice]:
    """Those that the user's words leave open."""
    return [choice for choice in choices if choice.key not in keys]


def _shorter(size: int | Sequence[int]) -> int:
    return size if isinstance(size, int) else min(size)


def _choose_size(sizes: Sequence[tuple[int, int]], on_gpu: bool) -> Choice:
    filled = [side for side in SIDES if sum(min(size) >= side for size in sizes) >= FILLED_BY * len(sizes)]
    side = max(filled, default=SIDES[0]) if sizes else GAMMA_AT
    allowed = side if on_gpu else min(side, LARGEST_ON_CPU)
    shape = _common_shape(sizes, allowed)
    if allowed < side:
        word = f"dataset.size={_in_words(_common_shape(sizes, side))}"
        return Choice("dataset.size", shape, f"on a CPU, which is slow with larger ones; the images fill {word}")
    if not filled and sizes:
        return Choice("dataset.size", shape, "the images are smaller")
    return Choice(
        "dataset.size", shape, f"{'the largest power of two that ' if side < SIDES[-1] else ''}the images fill"
    )


def _common_shape(sizes: Sequence[tuple[int, int]], side: int) -> int | list[int]:
    """A side for square images, or [height, width] for those of another shape, if nearly all of them have the same."""
    ratios = sorted(width / height for height, width in sizes)
    if not ratios:
        return side
    usual = ratios[len(ratios) // 2]
    alike = sum(abs(ratio / usual - 1) <= SAME_ASPECT for ratio in ratios)
    if alike < FILLED_BY * len(ratios) or not NEARLY_SQUARE < max(usual, 1 / usual) <= LONGEST:
        return side
    longer = round(side * max(usual, 1 / usual) / 8) * 8
    return [side, longer] if usual > 1 else [longer, side]


def _in_words(shape: int | list[int]) -> str:
    return str(shape).replace(" ", "")


def _choose_held_out(glance: Glance) -> list[Choice]:
    if glance.parted:  # the folders say what is held out
        return []
    if glance.images < TOO_FEW_TO_PART:
        return [Choice("dataset.held_out", 0, f"fewer than {TOO_FEW_TO_PART} images, so all are trained on")]
    share = min(HELD_OUT, float(f"{MOST_HELD_OUT / glance.images:.2g}"))
    return [Choice("dataset.held_out", share, "not trained on, so that learning by heart can be measured")]


def _interval(steps: float, least: int, most: int) -> int:
    return int(min(max(round_to_two_digits(steps), least), most))


def round_to_two_digits(number: float) -> int:
    return int(float(f"{number:.2g}"))
