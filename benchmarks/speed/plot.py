"""`python -m benchmarks.speed.plot RESULTS.json PICTURE.png`: draw scaling.py's results, in the Keras environment."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def main(results: str, picture: str) -> None:
    panels = json.loads(Path(results).read_text(encoding="utf-8"))["panels"]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.8 * rows), squeeze=False)
    for axis, (name, curves) in zip(axes.flat, panels.items(), strict=False):
        for number, curve in enumerate(curves):
            medians = [statistics.median(values) for values in curve["ms"]]
            quartiles = [statistics.quantiles(values, n=4, method="inclusive") for values in curve["ms"]]
            bars = [
                [median - low for median, (low, _, _) in zip(medians, quartiles, strict=True)],
                [high - median for median, (_, _, high) in zip(medians, quartiles, strict=True)],
            ]
            color = f"C{number}"
            axis.errorbar(curve["places"], medians, bars, color=color, marker="o", markersize=4, label=curve["label"])
            axis.plot(curve["places"], curve["arithmetic_ms"], color=color, linestyle="--", linewidth=1)
        axis.set(xscale="log", yscale="log", xlabel=name, ylabel="ms a step")
        axis.set_xticks(curves[0]["places"], [f"{place:,}" for place in curves[0]["places"]])
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, high / 30), high * 2)  # a flat curve should look flat, and the legend needs room
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.plot([], [], color="gray", linestyle="--", linewidth=1, label="arithmetic")
        axis.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
