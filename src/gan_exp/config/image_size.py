"""The size that the images of a folder are brought to, by their own sizes and the device."""

from collections.abc import Sequence

SIDES = (16, 32, 64, 128, 256)  # the image sizes to choose from, in pixels
FILLED_BY = 0.9  # a size is filled if so many of the images are at least as large
LARGEST_ON_CPU = 64  # a step takes four times as long with twice the side
SAME_ASPECT = 0.02  # relative difference
NEARLY_SQUARE = 1.1  # the sides' ratio up to which images are cut square
LONGEST = 2.0  # the sides' ratio beyond which they are, too
USUAL_SIDE = 64  # pixels: the recipes are for this side, unless their files name another
SMALLEST = 8  # pixels of a side, of every network


def choose_size(sizes: Sequence[tuple[int, int]], on_gpu: bool) -> tuple[int | list[int], str]:
    """A side, or [height, width], for images of these (height, width), and the reason."""
    own = _own_size(sizes)
    if own is not None:
        return own, "the images' own size"
    filled = [side for side in SIDES if sum(min(size) >= side for size in sizes) >= FILLED_BY * len(sizes)]
    side = max(filled, default=SIDES[0]) if sizes else USUAL_SIDE
    allowed = side if on_gpu else min(side, LARGEST_ON_CPU)
    shape = _common_shape(sizes, allowed)
    if allowed < side:
        word = f"dataset.size={_in_words(_common_shape(sizes, side))}"
        return shape, f"on a CPU, which is slow with larger ones; the images fill {word}"
    if not filled and sizes:
        return shape, "the images are smaller"
    why = f"{'the largest power of two that ' if side < SIDES[-1] else ''}the images fill"
    return shape, why + _if_few_are_smaller(sizes, side, on_gpu)


def _if_few_are_smaller(sizes: Sequence[tuple[int, int]], side: int, on_gpu: bool) -> str:
    """Most images are large enough for the next size, which the user may prefer."""
    larger = 2 * side
    share = sum(min(size) < larger for size in sizes) / max(len(sizes), 1)
    if share >= 0.5 or larger > (SIDES[-1] if on_gpu else LARGEST_ON_CPU):
        return ""
    return f"; dataset.size={_in_words(_common_shape(sizes, larger))} would enlarge {share:.0%}"


def _own_size(sizes: Sequence[tuple[int, int]]) -> int | list[int] | None:
    """That of images which are all small and equal: no pixel is lost then, and networks take any size."""
    if len(set(sizes)) != 1:
        return None
    height, width = sizes[0]
    shorter, longer = sorted(sizes[0])
    if not SMALLEST <= shorter < USUAL_SIDE or longer > LONGEST * shorter:
        return None
    return height if height == width else [height, width]


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
