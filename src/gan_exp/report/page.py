"""Puts a page together: one HTML file with style, script, data and images inside, which opens from disk."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from gan_exp import __version__
from gan_exp.runtime.files import json_text

GENERATOR = "gan-exp report"  # in the head of a page, by which we know our own
HEAD = 2_000  # characters within which it stands
STYLES = ("base.css", "page.css")
SCRIPTS = (
    "dom.js",
    "theme.js",
    "scale.js",
    "chart.js",
    "pointer.js",
    "curves.js",
    "table.js",
    "samples.js",
    "scatter.js",
    "main.js",
)


def render(template: str, context: Mapping[str, Any], data: Mapping[str, Any], images: Sequence[str]) -> str:
    """The text of the page. Jinja escapes everything in `context`; `data` and `images` are written as JSON."""
    script, script_hash = joined(map(asset, SCRIPTS))
    return (
        templates(asset)
        .get_template(template)
        .render(
            **context,
            generator=f"{GENERATOR} {__version__}",
            version=__version__,
            style=Markup("".join(map(asset, STYLES))),
            script=script,
            script_hash=script_hash,
            data=embedded(data),
            images=embedded(images),
        )
    )


def joined(scripts: Iterable[str]) -> tuple[Markup, Markup]:
    """The texts of scripts as one script, and its hash, by which a page's policy allows that script alone."""
    script = "\n".join(["(() => {", '"use strict";', *scripts, "})();"])
    return Markup(script), Markup(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())


def embedded(content: Any) -> Markup:
    """JSON that nothing in it can end: no `</script>`, no comment, no entity."""
    text = json_text(content, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def is_ours(path: Path) -> bool:
    """Whether `path` is a page that this module made."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return f'<meta name="generator" content="{GENERATOR} ' in file.read(HEAD)
    except OSError:
        return False


@lru_cache
def templates(load: Callable[[str], str]) -> Environment:
    """Templates by the names of files that `load` reads."""
    return Environment(
        loader=FunctionLoader(load), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def asset(name: str, room: str = "report") -> str:
    """The text of a file in the folder `assets` of `room`."""
    return (files(f"gan_exp.{room}") / "assets" / name).read_text(encoding="utf-8")
