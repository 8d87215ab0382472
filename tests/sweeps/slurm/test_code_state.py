from pathlib import Path

import pytest

from gan_exp.sweeps.slurm.code_state import change_since, code_state


def test_the_same_code(tmp_path: Path) -> None:
    before = code_state()
    assert change_since(before) == "" and len(before.digest) == 64


def test_a_trusted_module_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edited while the job was queued; it has not been imported."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nets_of_mine.py").write_text("a = 1")
    before = code_state(["nets_of_mine", "nowhere.at_all"])
    assert change_since(before, ["nets_of_mine"]) == ""
    (tmp_path / "nets_of_mine.py").write_text("a = 2")
    assert change_since(before, ["nets_of_mine"]).startswith(
        "the code has changed since this job was submitted (gan-exp "
    )
