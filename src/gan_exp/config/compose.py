"""Compose a configuration outside of `hydra.main`: what `gan-exp train` would train with these words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_exp.config.catalog import conf_dir
from gan_exp.config.hydra_support import register_resolvers
from gan_exp.config.mistakes.hydra_errors import explain
from gan_exp.errors import UserError


class Composed(NamedTuple):
    plain: dict[str, Any]  # resolved, not yet checked
    choices: dict[str, str | None]  # the option of each group


def compose(words: Sequence[str], config_dirs: Sequence[Path] = ()) -> Composed:
    """`words` are key=value, as Hydra reads them. Raises UserError where they make no configuration."""
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import open_dict
    from omegaconf.errors import OmegaConfBaseException

    from gan_exp.config.hydra_guard import GuardedLoader

    register_resolvers()
    search_path = create_config_search_path(str(conf_dir()))
    for folder in config_dirs:
        search_path.prepend("command-line", f"file://{folder.absolute()}", anchor=SearchPathQuery(provider="schema"))
    try:
        config = GuardedLoader(search_path).load_configuration("config", list(words), run_mode=RunMode.RUN)
        choices = dict(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
        plain = resolved(config)
    except (HydraException, OmegaConfBaseException) as error:
        folders = [part for folder in config_dirs for part in ("--config-dir", str(folder))]
        raise UserError(explain(error, [*folders, *words])) from error
    return Composed(plain, choices)


def resolved(composed: Any) -> dict[str, Any]:
    """Hydra's configuration, without its node hydra, as plain data. Raises UserError or OmegaConf's errors."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(plain, dict)
    if "experiment" in plain:
        raise UserError("experiment: its keys belong to the root; its file must begin with `# @package _global_`")
    return {str(key): value for key, value in plain.items()}
