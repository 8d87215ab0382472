"""Resume a sweep (`gan-exp resume SWEEP`): finish the runs that have begun, and train those that have not."""

import re
from pathlib import Path

from gan_exp.commands.launch import launch
from gan_exp.commands.sweep_runs import resuming
from gan_exp.config.overrides import for_hydra, quoted
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.errors import UserError
from gan_exp.runs.run_names import SWEEP_FILE
from gan_exp.runtime.terminal import say


def resume(place: Path, overrides: list[str], config_dir: str | None) -> int:
    """Launch the same sweep in the same directory again; its runs that have begun go on."""
    for word in overrides:
        if not word.startswith("hydra"):
            raise UserError(f"{word}: the runs of a sweep keep their values; resume one of them by its own directory")
    place = place.resolve()
    overrides = [for_hydra(word, sweeping=True) for word in overrides]
    words = ["-m", *(["--config-dir", config_dir] if config_dir else []), *_recorded(place), *overrides]
    with resuming():
        return launch([*words, f"hydra.sweep.dir={quoted(str(place))}"])


def _recorded(place: Path) -> list[str]:
    """The words that started the sweep, without those that could run code: Hydra builds what its own nodes name."""
    try:
        found = read_yaml((place / SWEEP_FILE).read_text(encoding="utf-8"))["hydra"]["overrides"]
        task, own = [str(word) for word in found["task"]], [str(word) for word in found["hydra"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place / SWEEP_FILE}: can't be read ({' '.join(str(error).split())})") from error
    for word in task:
        if "hydra" in word.partition("=")[0] or word.startswith("-"):
            raise UserError(f"{place / SWEEP_FILE}: {word} is no value of a run")
    plugins = [word for word in own if re.fullmatch(r"hydra/(launcher|sweeper)=\w+", word)]
    for word in own:
        _refuse_runs_elsewhere(place, word)
        if word not in plugins and not word.startswith(("hydra.mode=", "hydra.sweep.dir=")):
            say(f"ignored in the sweep's record: {word} (give it again if you want it)")
    return [*task, *plugins]


def _refuse_runs_elsewhere(place: Path, word: str) -> None:
    """Only runs inside the sweep's directory are found; others would be trained a second time."""
    key, _, value = word.partition("=")
    parts = Path(value.strip("'\"")).parts
    if key.lstrip("+") == "hydra.sweep.subdir" and (".." in parts or parts[:1] in (("/",), ("~",))):
        raise UserError(f"{word}: the runs of {place} lie outside of it; resume each by its own directory")
