"""JSON that any reader accepts."""

import json
import math
import re
from pathlib import Path

import gan_exp
from gan_exp.runtime.files import json_text

SOURCES = [*Path(gan_exp.__file__).parent.rglob("*.py"), *(Path(__file__).parents[2] / "benchmarks").rglob("*.py")]


def test_numbers_that_are_not_finite_become_null() -> None:
    content = {"a": math.inf, "b": [1.5, -math.inf, (math.nan, 2)], "c": {"d": "inf", "e": None, "f": True}}
    text = json_text(content)
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == {
        "a": None,
        "b": [1.5, None, [None, 2]],
        "c": {"d": "inf", "e": None, "f": True},
    }
    assert json_text({"größe": 1}, indent=1).count("\n") == 2


def test_every_json_file_is_written_with_json_text() -> None:
    """json.dumps is used only for digests, checks, and messages between processes."""
    written = re.compile(r"(write|write_text|write_atomically)\(.*json\.dumps|json\.dump\(")
    assert [path for path in SOURCES if written.search(path.read_text()) and path.name != "worker.py"] == []
