"""YAML of plain values, as runs hold them: read from anywhere without running anything, and written."""

import re
from typing import Any

import yaml
from yaml.composer import ComposerError


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 2e-4 for a string and 2026-01-01 for a date; who edits config.yaml means a number and a name.

    Aliases are refused: with them a value can hold itself, or a few lines as much as no memory holds.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, f"*{alias.anchor} must be written out", alias.start_mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def read_yaml(text: str) -> Any:
    """What the YAML says. Raises ValueError with one line, whatever is wrong with it."""
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # what constructs a value trusts its tag: KeyError, AttributeError, RecursionError, ...
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


class _Dumper(yaml.SafeDumper):
    """Without aliases, which aren't read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(config: dict[str, Any]) -> str:
    """As it stands in a run's config.yaml."""
    return str(yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
