"""YAML of plain values, as in a run's config.yaml: reading it runs no code, wherever it comes from."""

import re
from typing import Any

import yaml
from yaml.composer import ComposerError


class _Loader(yaml.SafeLoader):
    """Reads 2e-4 as a number and 2026-01-01 as a name, which YAML 1.1 reads as a string and as a date.

    Aliases are refused: with them a value can contain itself, or a few lines can fill the memory.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, f"*{alias.anchor} must be written out", alias.start_mark)
        return super().compose_node(parent, index)


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same in C where there is one, for texts without aliases."""


for _loader in (_Loader, _FastLoader):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )


def read_yaml(text: str) -> Any:
    """The value of the YAML `text`. Raises ValueError with a message of one line, whatever is wrong."""
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # constructors trust a value's tag: KeyError, AttributeError, RecursionError, ...
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


class SimilarYaml:
    """Reads many files that share most of their lines, such as the configurations of a sweep, each part once.

    A part is a key at the left margin with what is indented below it. What it returns must not be changed, since other
    files' values share it.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def read(self, text: str) -> Any:
        """As `read_yaml`."""
        parts = re.split(r"^(?=\w)", text, flags=re.MULTILINE)
        try:
            found: dict[Any, Any] = {}
            for part in filter(None, parts):
                if part not in self._known:
                    self._known[part] = _read_part(part)
                found |= self._known[part]
        except ValueError:  # a value that goes on at the left margin, or a mistake, which the whole text tells better
            return read_yaml(text)
        return found or read_yaml(text)


def _read_part(text: str) -> dict[Any, Any]:
    if "&" in text or "*" in text:  # the loader in C has no place to refuse aliases
        raise ValueError(text)
    try:
        found = yaml.load(text, _FastLoader)
    except Exception as error:  # as in `read_yaml`
        raise ValueError(text) from error
    if not isinstance(found, dict):
        raise ValueError(text)
    return found


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, since none are read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(config: dict[str, Any]) -> str:
    """The text of a run's config.yaml."""
    return str(yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
