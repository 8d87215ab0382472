"""Quality: scores of the recipes in conf/experiment/ over several seeds, beside published figures.

It uses only the tool's own commands: `gan-exp train experiment=... seed=k`, then `gan-exp evaluate`. It measures the
network at the run's last step (the averaged one where the recipe keeps an average), never the best of several.

    python -m benchmarks.quality              all experiments (`experiments.py` lists them), with all their seeds
    python -m benchmarks.quality ring grid    some of them
"""
