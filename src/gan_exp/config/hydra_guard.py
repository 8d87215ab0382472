"""Hydra trusts the YAML it reads: it builds what the node `hydra` names, and malformed files raise any error.

Since 1.3.8 it refuses a list of dangerous targets; whatever else can be imported it still imports and calls.
"""

import copy
import os
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from hydra._internal import hydra as hydra_internal
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from gan_exp.config.catalog import conf_dir, groups
from gan_exp.config.targets import TRUST_VARIABLE
from gan_exp.errors import UserError

Hydra = hydra_internal.Hydra  # the original, before `guard_hydra`
SINGLE_RUN = "hydra.mode=RUN"  # a word that Hydra adds to those of a run
CLEAR = (UserError, HydraException, OmegaConfBaseException)  # errors whose messages say what is wrong


_read: dict[tuple[str, str], ConfigResult] = {}  # by place and name: the package's files and Hydra's, which stay


class GuardedRepository(ConfigRepository):
    """Names a file that can't be read. The package's own are read once: that was a third of the time to compose."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        key = ("" if source is None else f"{source.scheme()}://{source.path}", config_path)
        if key in _read:
            return copy.deepcopy(_read[key])
        try:
            found = super().load_config(config_path)
        except CLEAR:
            raise
        except Exception as error:  # from YAML, Unicode, files, or assumptions of OmegaConf and Hydra
            raise UserError(f"{config_path}: can't be read as YAML of a configuration ({one_line(error)})") from error
        if found is not None and _is_ours(key[0]):
            _read[key] = copy.deepcopy(found)
        return found


def _is_ours(place: str) -> bool:
    return place.startswith("pkg://hydra") or place == f"file://{conf_dir()}"


class GuardedLoader(ConfigLoaderImpl):
    """Refuses files other than the package's and Hydra's that set keys of the node `hydra`.

    A class of a module, so that it travels to the processes of a parallel sweep. Raises UserError; of Hydra's and
    OmegaConf's own errors those that say what is wrong, and nothing else.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path=config_search_path)
        self.repository = GuardedRepository(config_search_path)
        self.trusting = "hydra" in os.environ.get(TRUST_VARIABLE, "").split(",")
        self.ahead: tuple[list[str], DictConfig | Exception] | None = None  # a run's words, and what they make

    def load_configuration(self, config_name: str | None, overrides: list[str], *rest: Any, **named: Any) -> DictConfig:
        ahead, self.ahead = self.ahead, None
        if ahead is not None and [*ahead[0], SINGLE_RUN] == overrides:
            return _of_single_run(ahead[1])
        try:
            return self._load(config_name, overrides, *rest, **named)
        except CLEAR:
            raise
        except Exception as error:
            raise UserError(f"{', '.join(overrides)}: makes no configuration ({one_line(error)})") from error

    def _load(self, config_name: str | None, overrides: list[str], *rest: Any, **named: Any) -> DictConfig:
        """With what the words leave to be chosen; Hydra's record of the words has those of the user alone."""
        load = partial(super().load_configuration, config_name)
        run_mode = named.get("run_mode", rest[0] if rest else None)
        if "dataset=folder" not in overrides or run_mode != RunMode.RUN:
            return load(overrides, *rest, **named)
        from gan_exp.config.choosing import chosen_words, known_first  # imports torch and Pillow

        try:
            chosen = chosen_words(overrides, load(known_first(overrides), *rest, **named))
        except CLEAR:  # as without a choice
            chosen = []
        config = load([*chosen, *overrides], *rest, **named)
        if chosen:
            with read_write(config.hydra.overrides), open_dict(config.hydra.overrides):
                config.hydra.overrides.task = list(config.hydra.overrides.task)[len(chosen) :]
        return config

    def _process_config_searchpath(self, config_name: str | None, parsed_overrides: Any, repo: Any) -> None:
        found = None if config_name is None else repo.load_config(config_path=config_name)
        if found is not None:
            self._check(config_name, found)  # before its search path, whose packages would be imported
        super()._process_config_searchpath(config_name, parsed_overrides, repo)

    def _load_single_config(self, default: Any, repo: Any) -> ConfigResult:
        loaded = super()._load_single_config(default, repo)  # at the place that its package gives it
        self._check(default.config_path, loaded)
        return loaded

    def _check(self, name: str | None, loaded: ConfigResult) -> None:
        ours = loaded.path.startswith("structured://") or _is_ours(loaded.path)
        if ours or not OmegaConf.is_dict(loaded.config):
            return
        content = OmegaConf.to_container(loaded.config, resolve=False)
        assert isinstance(content, dict)
        for group in groups():
            if isinstance(content.get(group), list):
                raise UserError(f"{name}: has a list in the place of the keys of {group}; write each as key: value")
        if self.trusting or "hydra" not in loaded.config:
            return
        raise UserError(
            f"{name}: sets keys of hydra.*, which can run code; set them on the command line, "
            f"or allow it with --trust hydra"
        )


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _of_single_run(composed: DictConfig | Exception) -> DictConfig:
    """As if `SINGLE_RUN` had been among the words."""
    if isinstance(composed, Exception):
        raise composed
    composed.hydra.mode = RunMode.RUN
    composed.hydra.overrides.hydra.append(SINGLE_RUN)
    return composed


def _has_sweep(words: list[str]) -> bool:
    """Whether one of them has several values, or can't be read."""
    try:
        return any(override.is_sweep_override() for override in OverridesParser.create().parse_overrides(words))
    except HydraException:
        return True


def guard_hydra(sweep: Callable[[Any, DictConfig, list[str]], object], multirun: bool) -> None:
    """Let `hydra.main` load configurations through the guard, in this process, and hand a sweep to `sweep`.

    It is given the loader of configurations, the sweep's own configuration, and the user's words without Hydra's.
    `multirun`: the user's words ask for a sweep.
    """
    hydra_internal.ConfigLoaderImpl = GuardedLoader  # type: ignore[attr-defined]

    class SweepingHydra(Hydra):
        def get_mode(self, config_name: str | None, overrides: list[str]) -> RunMode | None:
            """Hydra composes the whole configuration to see `hydra.mode`, and `run` the same again: once is enough.

            A sweep that was asked for is one, whatever `hydra.mode` says.
            """
            if multirun:
                return None
            loader, words = self.config_loader, list(overrides)
            assert isinstance(loader, GuardedLoader)
            try:
                config = self.compose_config(config_name, words, RunMode.RUN)
                if config.hydra.mode is not None:
                    return cast(RunMode, config.hydra.mode)
                loader.ahead = words, config
            except Exception as error:
                if _has_sweep(words):
                    return cast(RunMode | None, super().get_mode(config_name, overrides))
                loader.ahead = words, error
            return None

        def multirun(
            self,
            config_name: str | None,
            task_function: object,
            overrides: list[str],
            with_log_configuration: bool = True,
        ) -> None:
            config = self.compose_config(
                config_name=config_name,
                overrides=overrides,
                with_log_configuration=with_log_configuration,
                run_mode=RunMode.MULTIRUN,
            )
            words = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
            assert isinstance(words, list)
            params = config.hydra.sweeper.get("params") or {}
            sweep(self.config_loader, config, [*(f"{key}={value}" for key, value in params.items()), *words])

    hydra_internal.Hydra = SweepingHydra  # type: ignore[misc]
