"""Checks of the tensors given to metrics, before wrong ones turn into a plausible score."""

from torch import Tensor

from gan_exp.runtime.words import plural


class TooFewSamples(ValueError):
    """More samples would help; of other ValueErrors they would not."""


def check(what: str, values: Tensor, least: int) -> Tensor:
    """`values` [N, D] as they are. Raises ValueError if they are fewer than `least`, or not all finite."""
    if values.ndim != 2:
        raise ValueError(f"{what}: must be [N, D], not {list(values.shape)}")
    if len(values) < least:
        found = f"{plural(len(values), 'sample')} {'is' if len(values) == 1 else 'are'}"
        raise TooFewSamples(f"{what}: {found} too few; at least {least} are needed")
    if not values.isfinite().all():
        raise ValueError(f"{what}: contains values that are not finite")
    return values


def check_pair(real: Tensor, fake: Tensor, least: int) -> None:
    """Raises ValueError for features that fail `check`, or are not of the same space."""
    check("real features", real, least)
    check_fake(real.shape[1], fake, least)


def check_fake(dimensions: int, fake: Tensor, least: int) -> None:
    """The same, where the real ones were checked before and have so many dimensions."""
    check("fake features", fake, least)
    if dimensions != fake.shape[1]:
        raise ValueError(f"real features have {dimensions} dimensions, fake ones {fake.shape[1]}")
