"""The suite has no time limits, so that a busy machine fails nothing, and a part of it is quick."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
LIMIT = re.compile(r"\b(timeout|deadline)=(?!LONGEST_WAIT_S|None|limit\b)[^,)]+")


def test_property_tests_have_no_time_limit() -> None:
    assert settings().deadline is None and HealthCheck.too_slow in settings().suppress_health_check


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_nobody_sets_another(path: Path) -> None:
    found = LIMIT.findall(path.read_text(encoding="utf-8"))
    assert not found, f"{found}: a busy machine takes longer; use LONGEST_WAIT_S of waiting.py"
