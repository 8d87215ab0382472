"""How a cluster runs the jobs of `--slurm`: the keys `slurm.*`, from a YAML file and from the command line."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from gan_exp.config.validation import validated
from gan_exp.errors import UserError
from gan_exp.ranges import NonNegativeInt, PositiveInt
from gan_exp.runtime.paths import expand_user

PREFIX = "slurm."
LONGEST = 40  # letters of a number with its unit
UNITS = {"d": 24 * 60, "h": 60, "m": 1, "s": 1 / 60}  # minutes


class SlurmSettings(BaseModel):
    """The comments in `conf/slurm.yaml` say what each key does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Literal["slurm", "local"] = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str = "4h"
    memory: str = "8G"
    cpus: PositiveInt = 4
    gpus: NonNegativeInt | None = None
    at_once: PositiveInt = 256
    max_timeouts: NonNegativeInt = 100
    warning_seconds: PositiveInt = 120
    setup: list[str] = []
    extra: dict[str, str] = {}

    @property
    def minutes(self) -> int:
        """`time` in whole minutes, rounded up. Raises UserError if it can't be read."""
        return max(1, math.ceil(_minutes(self.time)))

    @property
    def slurm_memory(self) -> str:
        """`memory` as Slurm takes it: a whole number with its unit."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT])i?B?", self.memory, flags=re.IGNORECASE)
        if not found or len(self.memory) > LONGEST or float(found[1]) <= 0:
            raise UserError(f"{PREFIX}memory={self.memory}: must be a number with a unit, such as 8G or 500M")
        number, unit = float(found[1]), found[2].upper()
        if not number.is_integer() and unit != "K":
            number, unit = 1024 * number, "KMGT"["KMGT".index(unit) - 1]
        return f"{math.ceil(number)}{unit}"


def _minutes(text: str) -> float:
    """Of 90m, 4h, 1d12h, or as Slurm writes it: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS."""
    text = text.strip()
    if len(text) > LONGEST:
        minutes = 0.0
    elif re.fullmatch(r"(\d+(\.\d+)?[dhms] ?)+", text):
        minutes = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([dhms])", text))
    elif found := re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?(?::(\d+))?", text):
        days, hours, rest, seconds = (int(part or 0) for part in found.groups())
        minutes = days * 24 * 60 + hours * 60 + rest + seconds / 60
    elif found := re.fullmatch(r"(?:(?:(\d+):)?(\d+):(\d+))|(\d+)", text):
        hours, rest, seconds, alone = (int(part or 0) for part in found.groups())
        minutes = 60 * hours + rest + seconds / 60 + alone
    else:
        minutes = 0
    if minutes <= 0:
        raise UserError(f"{PREFIX}time={text}: must be a time, such as 90m, 4h, 1d12h or Slurm's 1-12:00:00")
    return minutes


def read_settings(words: Sequence[str], path: str | None = None) -> SlurmSettings:
    """The settings in the YAML file at `path`, and those of `words` such as slurm.time=4h, which take precedence.

    Raises UserError for what can't be read, unknown keys and wrong values.
    """
    plain = {} if path is None else _read_file(path)
    for word in words:
        key, separator, text = word.removeprefix(PREFIX).partition("=")
        if not separator or not word.startswith(PREFIX):
            raise UserError(f"{word}: must be written slurm.KEY=VALUE, such as slurm.time=4h")
        name, dot, inner = key.partition(".")
        value = _read(text, word)
        if dot and isinstance(plain.setdefault(name, {}), dict):
            plain[name][inner] = value
        else:
            plain[key] = value
    given = {key: value for key, value in plain.items() if value not in ("", "null", "~")}
    settings = validated(SlurmSettings, given, PREFIX.rstrip("."))
    if settings.warning_seconds >= 60 * settings.minutes:
        raise UserError(
            f"{PREFIX}warning_seconds={settings.warning_seconds}: must be less than {PREFIX}time={settings.time}"
        )
    _ = settings.slurm_memory
    return settings


def _read_file(path: str) -> dict[str, Any]:
    place = expand_user(path, "--slurm")
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"--slurm={path}: can't be read ({error}); name a YAML file of the keys slurm.*") from None
    plain = _read(text, f"--slurm={path}")
    if not isinstance(plain, dict):
        raise UserError(f"--slurm={path}: must hold keys and values, such as `partition: gpu`")
    return plain


def _read(text: str, where: str) -> Any:
    """The YAML `text` with every scalar as it is written: YAML's own types make 14400 of 4:00:00."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.BaseLoader)):
            raise yaml.YAMLError("aliases must be written out")  # a value could contain itself
        return yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{where}: can't be read ({' '.join(str(error).split())})") from None
