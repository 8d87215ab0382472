"""Every test that docs/reliability.md names exists."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"


def test_the_tests_that_are_named_exist() -> None:
    named = 0
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        file = ""
        for quoted in re.findall(r"`([^`]*)`", line):
            match = re.fullmatch(r"([\w/]+\.py|crash/)?(?:::(\w+))?", quoted)
            if match is None or not any(match.groups()):
                continue
            file = match[1] or file
            assert (TESTS / file).exists(), quoted
            if match[2]:
                assert f"def {match[2]}(" in (TESTS / file).read_text(encoding="utf-8"), quoted
            named += 1
    assert named > 40
