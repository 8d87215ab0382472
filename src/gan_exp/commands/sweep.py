"""Resume a sweep (`gan-exp resume SWEEP`): finish the runs that have begun, train those that have not, and add more."""

from dataclasses import replace
from pathlib import Path

from gan_exp.commands.cluster import Cluster
from gan_exp.commands.launch import launch
from gan_exp.config.overrides import for_hydra, quoted
from gan_exp.runtime.terminal import say
from gan_exp.sweeps.record import grown, read_record
from gan_exp.sweeps.words import Choices


def resume(
    place: Path, overrides: list[str], config_dir: str | None, choices: Choices, cluster: Cluster | None = None
) -> int:
    """Launch the same sweep in the same directory again; values that are new to it add runs."""
    place = place.resolve()
    record = read_record(place)
    for word in record.hydra:
        if not word.startswith(("hydra.mode=", "hydra.sweep.dir=", "hydra/launcher=")):
            say(f"ignored in the sweep's record: {word} (give it again if you want it)")
    overrides = [for_hydra(word, sweeping=True) for word in overrides]
    hydras = [word for word in overrides if word.startswith("hydra")]
    wanted = grown(record.expansions[-1], [word for word in overrides if word not in hydras])
    words = ["-m", *(["--config-dir", config_dir] if config_dir else []), *wanted.words, *hydras]
    choices = replace(choices, linked=wanted.linked, may_continue=True)
    return launch([*words, f"hydra.sweep.dir={quoted(str(place))}"], choices, cluster)
