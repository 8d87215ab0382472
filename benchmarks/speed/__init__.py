"""Speed: `gan-exp train` beside the article's own code, plain PyTorch loops and the cost of the arithmetic alone.

Since the speed of a machine drifts, only ratios from one session are meaningful. So each loop runs in its own process,
on the same cores, one at a time while all others are stopped, in rounds A B C A B C. The first round is a warm-up,
chunks that other processes disturbed are repeated, and ratios are taken within a round.

    python -m benchmarks.speed           the comparisons, listed in `comparisons.py`
    python -m benchmarks.speed.scaling   a picture: step time by batch size, image size, width and data
    python -m benchmarks.speed.startup   start-up times of commands, and the memory of a run
"""
