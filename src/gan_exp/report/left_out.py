"""What a page says about the data that it holds in part only."""

from gan_exp.report.images import Samples
from gan_exp.report.thinning import Curves
from gan_exp.runtime.words import plural


def left_out(curves: Curves, samples: Samples) -> list[str]:
    """A sentence for each kind."""
    found = []
    if curves.spans:
        low, high = min(curves.spans.values()), max(curves.spans.values())
        steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        thinned = f"{plural(len(curves.spans), 'curve')} {'is' if len(curves.spans) == 1 else 'are'} thinned"
        found.append(
            f"{thinned}: a point is the mean of {steps} steps, and the band reaches "
            "from the lowest to the highest value of these"
        )
    if curves.left_out:
        found.append(f"curves left out: {', '.join(curves.left_out)}")
    if samples.all_steps > len(samples.steps):
        found.append(f"grids of samples of {plural(len(samples.steps), 'step')} are shown, out of {samples.all_steps}")
    if samples.recompressed:
        found.append("grids are compressed with a loss of detail or made smaller")
    if samples.without:
        found.append(f"the grids of {plural(samples.without, 'run')} are left out")
    if samples.damaged:
        found.append(f"{plural(samples.damaged, 'grid')} can't be read")
    return found
