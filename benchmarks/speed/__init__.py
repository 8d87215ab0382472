"""Speed: `gan-exp train` against the article's own code, plain PyTorch loops and what the arithmetic alone costs.

Only ratios taken in one session mean anything on a machine whose speed drifts. So each loop runs in a process of its
own, on the same cores, one at a time while all others are stopped, in rounds A B C A B C; the first round warms up,
chunks that other processes disturbed are repeated, and ratios are taken within a round.

    python -m benchmarks.speed           the comparisons (`comparisons.py` lists them)
    python -m benchmarks.speed.scaling   the cost of a step against batch, image, width and data, as a picture
    python -m benchmarks.speed.startup   how long commands take to begin, and the memory of a run
"""
