"""What a page says about the data that it holds in part only."""

from gan_exp.report.images import Samples
from gan_exp.report.thinning import Curves


def left_out(curves: Curves, samples: Samples) -> list[str]:
    """A sentence for each kind."""
    found = []
    if curves.spans:
        low, high = min(curves.spans.values()), max(curves.spans.values())
        steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        found.append(
            f"{len(curves.spans)} curves are thinned: a point is the mean of {steps} steps, and the band reaches "
            "from their lowest to their highest value"
        )
    if curves.left_out:
        found.append(f"curves left out: {', '.join(curves.left_out)}")
    if samples.all_steps > len(samples.steps):
        found.append(f"grids of samples of {len(samples.steps)} steps are shown, out of {samples.all_steps}")
    if samples.recompressed:
        found.append("grids are compressed with a loss of detail or made smaller")
    if samples.without:
        found.append(f"the grids of {samples.without} runs are left out")
    if samples.damaged:
        found.append(f"{samples.damaged} grids can't be read")
    return found
