"""`gan-exp evaluate` in several processes: the same report, whoever draws the samples; all end with one exit code."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_exp.commands import evaluate
from gan_exp.config.schema import DeviceConfig
from gan_exp.evaluation.division import Division
from gan_exp.generators.evaluation_help import help_evaluate, shared
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import Ranks
from threaded_ranks import in_threads

WORDS = ["run", "--features", "pixels", "--metrics", "fid,manifolds", "--count", "600", "--seeds", "2"]


@pytest.fixture(autouse=True)
def threads_as_they_were() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def evaluated(count: int, words: list[str] = WORDS) -> tuple[list[int], dict[str, Any]]:
    """The exit codes and what the report says."""

    def run(ranks: Ranks) -> int:
        if not ranks.first:
            return help_evaluate(ranks)
        code = evaluate._lead(words, ranks)
        ranks.release(code)
        return code

    codes = in_threads(count, run)
    return codes, json.loads(RunDir("run").evaluation(4, "pixels").read_text())


def test_the_same_report(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helped = []
    help_ = Division._help
    monkeypatch.setattr(Division, "_help", lambda self, *given: (helped.append(self.ranks.rank), help_(self, *given)))
    (code,), alone = evaluated(1)
    assert code == 0 and helped == []
    codes, together = evaluated(2)
    assert codes == [0, 0] and together == alone
    assert helped == [1] * 5  # samples and features of two seeds, and the data's features


def test_threads_are_shared_and_never_more_than_the_run_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_exp.generators.evaluation_help.usable_cores", lambda: 8)
    threads = partial(shared, ranks=Ranks(0, 4, 0, 2))
    assert threads(DeviceConfig(name="cpu", index=0, threads=None, deterministic=False)).threads == 4
    assert threads(DeviceConfig(name="cpu", index=0, threads=16, deterministic=False)).threads == 4
    assert threads(DeviceConfig(name="cpu", index=0, threads=1, deterministic=False)).threads == 1
    assert shared(DeviceConfig(name="cpu", index=0, threads=16, deterministic=False), Ranks()).threads == 16
