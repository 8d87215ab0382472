"""The steps that are timed before a sweep begins."""

import math

import pytest

from builders import small_config
from gan_exp.runtime import threads
from gan_exp.sweeps import trial
from gan_exp.training import assembly, build, needs


@pytest.mark.parametrize(("slow", "count"), [(0.0, 1), (math.inf, 2)])
def test_of_steps_that_take_long_one_is_timed(slow: float, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no number of threads is tried where even the least estimate of a step is long, as for a single run."""
    taken: list[None] = []
    known: list[float] = []

    def choose_threads(*_: object) -> tuple[int, str]:
        known.append(_[-1])  # type: ignore[arg-type]
        return 3, ""

    monkeypatch.setattr(needs, "SLOW_S", slow)
    monkeypatch.setattr(threads, "choose_threads", choose_threads)
    monkeypatch.setattr(assembly, "trial_step", lambda *_: lambda: taken.append(None))
    monkeypatch.delenv("OMP_NUM_THREADS")
    found = trial._try_steps(small_config("mlp", "steps=2").model_dump(mode="json"), 2)
    assert len(taken) == count and found.threads == 3 and found.step_seconds >= 0
    assert len(known) == 1 and 0 < known[0] < 1  # a small network


def test_the_networks_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the estimate, the choice of threads and the timed steps."""
    built: list[str] = []
    build_state, trial_step = build.build_state, assembly.trial_step
    monkeypatch.setattr(build, "build_state", lambda *given: built.append("state") or build_state(*given))
    monkeypatch.setattr(assembly, "trial_step", lambda *given: built.append("step") or trial_step(*given))
    monkeypatch.setattr(threads, "choose_threads", lambda make_step, *_: make_step()() and None)
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # no number: as if it were unset
    assert trial._try_steps(small_config("mlp", "steps=2").model_dump(mode="json"), 2).step_seconds > 0
    assert built == ["state", "step"]
