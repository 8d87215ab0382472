"""The suite has no time limits, so that a busy machine fails nothing, and a part of it is quick."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from builders import make_config
from gan_exp.evaluation.features.trained import cache_folder

TESTS = Path(__file__).parent
LIMIT = re.compile(r"\b(timeout|deadline)=(?!LONGEST_WAIT_S|None|limit\b)[^,)]+")


def test_property_tests_have_no_time_limit() -> None:
    assert settings().deadline is None and HealthCheck.too_slow in settings().suppress_health_check


def test_what_is_kept_for_later_is_not_kept_in_the_users_cache() -> None:
    """Trained features, packed folders and what the processes keep that tests start."""
    place = os.environ["GAN_EXP_CACHE"]
    assert Path(place).name.startswith("gan-exp-cache-") and cache_folder() == Path(place)
    assert make_config("dataset=folder", "dataset.root=images").dataset["cache"] == place


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_nobody_sets_another(path: Path) -> None:
    found = LIMIT.findall(path.read_text(encoding="utf-8"))
    assert not found, f"{found}: a busy machine takes longer; use LONGEST_WAIT_S of waiting.py"
