"""What is written is JSON for any reader."""

import json
import math
import re
from pathlib import Path

import gan_exp
from gan_exp.runtime.files import json_text

SOURCES = [*Path(gan_exp.__file__).parent.rglob("*.py"), *(Path(__file__).parents[2] / "benchmarks").rglob("*.py")]


def test_no_nan_and_no_infinity() -> None:
    content = {"a": math.inf, "b": [1.5, -math.inf, (math.nan, 2)], "c": {"d": "inf", "e": None, "f": True}}
    text = json_text(content)
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == {
        "a": None,
        "b": [1.5, None, [None, 2]],
        "c": {"d": "inf", "e": None, "f": True},
    }
    assert json_text({"größe": 1}, indent=1).count("\n") == 2


def test_every_file_is_written_by_it() -> None:
    """json.dumps is left for what is no file: digests, checks, and what goes from one process to another."""
    written = re.compile(r"(write|write_text|write_atomically)\(.*json\.dumps|json\.dump\(")
    assert [path for path in SOURCES if written.search(path.read_text()) and path.name != "worker.py"] == []
