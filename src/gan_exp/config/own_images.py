"""What `dataset=folder` alone chooses: a recipe and its settings for the images that the folder holds.

Words that the user gives always win. A run keeps what was chosen, with the reasons, in `chosen` of its config.yaml, so
that nothing is chosen again when it is resumed or repeated.
"""

from collections.abc import Collection, Sequence
from math import prod
from typing import Any, NamedTuple

from gan_exp.config.image_size import LARGEST_ON_CPU, USUAL_SIDE, choose_size
from gan_exp.data.glance import Glance
from gan_exp.runtime.words import plural

FEW = 2_000  # images
ENOUGH = 20_000  # images without their mirror images
TOO_FEW_TO_PART = 50
HELD_OUT, MOST_HELD_OUT = 0.1, 5_000
LOOKS = 30  # how often each image is seen at least, in a run
MOST_LOOKS = 4_000  # and at most, as in FastGAN's runs with 100 images (50,000 steps of batch 8)
MOST_STEPS = 200_000


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
    """What an experiment's file says; `gamma` is None where it has no penalty with one.

    Its numbers are for images with this `side` in pixels. `mirrors`: the augmentation mirrors images.
    """

    steps: int
    batch_size: int
    gamma: float | None
    side: int = USUAL_SIDE
    mirrors: bool = False


def choose_recipe(glance: Glance, on_gpu: bool, size: int | Sequence[int] | None) -> list[Choice]:
    """The experiment and, unless it is given, the images' size."""
    choices = [] if size is not None else [Choice("dataset.size", *choose_size(glance.sizes, on_gpu))]
    side = _shorter(choices[0].value if size is None else size)
    if glance.images < FEW:
        verb = "is" if glance.images == 1 else "are"
        recipe = Choice("experiment", "folder_few", f"{_images(glance)} {verb} few: fewer than {FEW:,}")
    elif on_gpu and side > LARGEST_ON_CPU:
        recipe = Choice("experiment", "folder_256", f"{glance.images:,} images of {side} pixels or more, and a GPU")
    else:
        recipe = Choice("experiment", "folder_many", f"{glance.images:,} images, at least {FEW:,}")
    return [recipe, *choices]


def choose_settings(
    glance: Glance,
    recipe: Recipe,
    size: int | Sequence[int],
    steps: int | None = None,
    batch_size: int | None = None,
    on_gpu: bool = False,
    cpu_with_bf16: bool = False,
) -> list[Choice]:
    """All else, by the number of images and their size, and by the `steps` and the `batch_size` that are given."""
    found = [*_choose_held_out(glance), *_choose_mirror(glance, recipe), *_choose_batch(glance, recipe, batch_size)]
    batch_size = next((choice.value for choice in found if choice.key == "batch_size"), batch_size or recipe.batch_size)
    found += _choose_gamma(recipe, _shorter(size), batch_size)
    if cpu_with_bf16:
        found.append(Choice("device.precision", "bf16", "this CPU computes convolutions faster so"))
    longer = [] if steps is not None else _choose_steps(glance, recipe, batch_size, on_gpu)
    steps = longer[0].value if longer else recipe.steps if steps is None else steps
    return [*found, *longer, *_choose_intervals(steps, 1.0 if on_gpu else max(1.0, _area(size) / USUAL_SIDE**2))]


def _choose_mirror(glance: Glance, recipe: Recipe) -> list[Choice]:
    if glance.images >= ENOUGH or glance.letters or recipe.mirrors:
        return []
    why = f"fewer than {ENOUGH:,} images; false if left and right matter, as in text"
    return [Choice("dataset.mirror", True, why)]


def _choose_batch(glance: Glance, recipe: Recipe, given: int | None) -> list[Choice]:
    if given is not None or glance.images >= recipe.batch_size:
        return []
    fitting = max(2, 2 ** (glance.images.bit_length() - 1))
    return [Choice("batch_size", fitting, f"for {_images(glance)}")]


def _choose_gamma(recipe: Recipe, side: int, batch_size: int) -> list[Choice]:
    """StyleGAN2-ADA's rule of thumb, gamma in proportion to resolution^2 / batch, from the recipe's own gamma on."""
    if recipe.gamma is None:
        return []
    gamma = float(f"{recipe.gamma * (side / recipe.side) ** 2 * recipe.batch_size / batch_size:.3g}")
    if gamma == recipe.gamma:
        return []
    why = f"{recipe.gamma:g} at {recipe.side} pixels and batch {recipe.batch_size}, in proportion to pixels / batch"
    return [Choice("penalty.gamma", gamma, why)]


def _choose_steps(glance: Glance, recipe: Recipe, batch_size: int, on_gpu: bool) -> list[Choice]:
    """More than the recipe's only on a GPU: on a CPU they would take days."""
    least = min(LOOKS * glance.images // batch_size, MOST_STEPS)
    most = MOST_LOOKS * glance.images // batch_size
    if on_gpu and least > recipe.steps:
        return [Choice("steps", round_to_two_digits(least), f"so that each image is seen about {LOOKS} times")]
    if most < recipe.steps:
        return [Choice("steps", round_to_two_digits(most), f"each image is seen {MOST_LOOKS:,} times by then")]
    return []


def _choose_intervals(steps: int, slow: float) -> list[Choice]:
    """Steps take `slow` times as long as those with images of the usual size."""
    samples = _interval(steps / 40 / slow, int(50 / slow), 1000)
    checkpoints = _interval(steps / 10 / slow, int(200 / slow), 5000)
    found = [
        Choice("sample_every_steps", samples, _times(steps, samples, "grid")),
        Choice("checkpoint_every_steps", checkpoints, _times(steps, checkpoints, "checkpoint")),
    ]
    if slow > 1:
        log = _interval(100 / slow, 5, 100)
        found.append(Choice("log_every_steps", log, "a CPU is slow with such images"))
    return found


def _times(steps: int, every: int, what: str) -> str:
    if steps < every:
        return f"the first and the last suffice for {plural(steps, 'step')}"
    return f"{plural(steps // every, what)} in {plural(steps, 'step')}"


def advice(glance: Glance) -> list[str]:
    """What the user should know of such images."""
    lines = []
    if glance.letters:
        lines.append("dataset.mirror stays false, since the classes have names of one letter or digit")
    if glance.images < FEW:
        lines.append(
            "few images are easily learned by heart: `gan-exp nearest RUN` shows how near the samples are to them; "
            "more images help most"
        )
    return lines


def told(lines: Sequence[str]) -> list[str]:
    """What `chosen` of a configuration holds, for the log."""
    return [f"{'chosen' if '=' in line.partition(' ')[0] else 'note'}: {line}" for line in lines]


def without(choices: Sequence[Choice], keys: Collection[str]) -> list[Choice]:
    """Those that the user's words leave open."""
    return [choice for choice in choices if choice.key not in keys]


def _shorter(size: int | Sequence[int]) -> int:
    return size if isinstance(size, int) else min(size)


def _area(size: int | Sequence[int]) -> int:
    return size**2 if isinstance(size, int) else prod(size)


def _images(glance: Glance) -> str:
    return plural(glance.images, "image")


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
