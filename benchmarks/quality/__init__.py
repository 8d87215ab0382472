"""Quality: how good the recipes under conf/experiment/ come out, over seeds, beside published figures.

Nothing here but the tool's own commands: `gan-exp train experiment=... seed=k`, then `gan-exp evaluate`. What is
measured is the network at the run's last step (the averaged one where the recipe keeps an average), never the best of
several.

    python -m benchmarks.quality              all experiments (`experiments.py` lists them), with all their seeds
    python -m benchmarks.quality ring grid    some of them
"""
