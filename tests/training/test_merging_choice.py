"""Which groups are merged: chosen by timing, once, and kept with the run."""

from pathlib import Path
from typing import Any

import pytest
import torch

from builders import composed, small_config
from gan_exp.config.check import check
from gan_exp.config.schema import Config
from gan_exp.errors import UserError
from gan_exp.models.merging import Groups, Shape, grouped_layers
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.training import decisions, merging_choice, session
from gan_exp.training.build import build_state
from gan_exp.training.decisions import decide_merging
from gan_exp.training.merging_choice import PASSES, choose_merging
from gan_exp.training.resuming import resume_run
from gan_exp.training.session import start_run
from gan_exp.training.start_or_continue import start_or_continue
from single_steps import CPU, SPEC
from whole_runs import RHYTHM, assert_same_run, train

FINE, COARSE = Shape(32, 4, 16, 16, False), Shape(32, 8, 8, 8, True)


class Machine:
    """A clock that only convolutions move, each by the milliseconds of its shape and factor; some can't be computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[tuple[int, int], float]) -> None:
        self.now, self.costs = 0.0, costs
        self.types: dict[int, torch.dtype] = {}
        self.passes: dict[tuple[int, int], int] = {}
        self.cores = merging_choice.convolve_merged
        monkeypatch.setattr(merging_choice, "convolve_merged", self.convolve)

    def convolve(self, images: torch.Tensor, weight: torch.Tensor, bias: None, groups: Groups) -> torch.Tensor:
        side = images.shape[2]
        if (side, groups.merged) not in self.costs:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate")
        self.now += 1e-3 * self.costs[side, groups.merged]
        self.types[side] = images.dtype
        self.passes[side, groups.merged] = self.passes.get((side, groups.merged), 0) + 1
        return self.cores(images, weight, bias, groups)

    def clock(self) -> float:
        return self.now


def costs(side: int, *times: float) -> dict[tuple[int, int], float]:
    return {(side, factor): time for factor, time in zip((1, 2, 4, 8), times, strict=False)}


def test_a_clearly_faster_factor_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {**costs(16, 10, 6, 4, 3.9), **costs(8, 10, 9.6, 9.9)})
    chosen, why = choose_merging([FINE, COARSE, FINE], 2, "bf16", CPU, machine.clock)
    assert chosen == {"32x16x16/4": 4}
    assert why.startswith("groups: merged in 1 of 2 shapes (32x16x16/4: 4 into one, 2.50 times as fast; timed in ")
    assert machine.types == {16: torch.bfloat16, 8: torch.float32}
    assert set(machine.passes) == {(16, 1), (16, 2), (16, 4), (16, 8), (8, 1), (8, 2), (8, 4)}  # COARSE has 4 groups
    assert set(machine.passes.values()) == {PASSES * (1 + merging_choice.ROUNDS)}


def test_nothing_is_merged_for_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, costs(16, 10, 9.6, 9.7, 30))
    chosen, why = choose_merging([FINE], 2, "float32", CPU, machine.clock)
    assert chosen == {} and why.startswith("groups: not merged in any of 1 shapes (timed in ")
    assert choose_merging([Shape(32, 4, 4, 4, True)], 2, "bf16", CPU)[1].startswith("groups: not merged in any of 0")


def test_a_factor_that_fails_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even single groups fail there is nothing to compare with."""
    machine = Machine(monkeypatch, {(16, 1): 10, (16, 4): 5, (8, 2): 1, (8, 4): 1})
    chosen, why = choose_merging([FINE, COARSE], 2, "float32", CPU, machine.clock)
    assert chosen == {"32x16x16/4": 4}
    failure = "failed with OutOfMemoryError: CUDA out of memory. Tried"
    assert f"32x16x16/4: 2 into one {failure}; 32x8x8/8: 1 into one {failure}; timed in" in why


def test_a_shape_too_large_for_the_memory_is_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, why = choose_merging([FINE], 1 << 60, "float32", CPU)
    assert chosen == {} and "32x16x16/4: RuntimeError: " in why


def test_the_real_clock() -> None:
    assert set(choose_merging([COARSE], 1, "float32", CPU)[0]) <= {"32x8x8/8"}


def r3gan(*words: str) -> Config:
    return small_config("r3gan", *words)


def decided(config: Config, device: str) -> tuple[Config, list[str], list[int]]:
    state = build_state(config, SPEC, CPU)
    found, lines = decide_merging(config, state, torch.device(device), 2)
    return found, lines, [layer.merged for layer in grouped_layers([state.discriminator])]


def test_it_is_decided_on_a_gpu_in_long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def choose(*given: Any) -> tuple[dict[str, int], str]:
        asked.append(given)
        return {"8x8x8/4": 2}, "groups: merged"

    monkeypatch.setattr(decisions, "choose_merging", choose)
    long = r3gan("steps=10000", "device.precision=bf16", "device.merged_groups=null")
    for config, device in (
        (long, "cpu"),
        (r3gan("steps=9999"), "cuda"),
        (r3gan("steps=10000", "device.deterministic=true"), "cuda"),
        (small_config("dcgan", "steps=10000"), "cuda"),
    ):
        found, lines, merged = decided(config, device)
        assert found.device.merged_groups == [] and lines == [] and set(merged) <= {1}
    assert not asked
    found, lines, merged = decided(long, "cuda")
    ((shapes, rows, precision, device),) = asked
    assert {shape.name for shape in shapes} == {"8x8x8/4", "16x4x4/4"}
    assert (rows, precision, device.type) == (8, "bf16", "cuda")
    assert found.device.merged_groups == ["8x8x8/4:2"] and lines == ["groups: merged"] and merged == [2, 1]
    assert decided(found, "cuda") == (found, [], [2, 1]) and len(asked) == 1
    decided(r3gan("steps=10000", "micro_batch_size=4"), "cuda")
    assert asked[-1][1] == 4


MERGED_RUN = ("r3gan", *RHYTHM, "penalty=r1_r2", "steps=6", "device.merged_groups=[8x8x8/4:2,16x4x4/4:4]")


def test_a_run_with_merged_groups_is_the_same_up_to_rounding(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and resumed, it is the same to the last bit, since its configuration has what was merged."""
    config = small_config(*MERGED_RUN)
    merged = train(config, "merged", (), monkeypatch)
    assert merged.read_config()["device"]["merged_groups"] == ["8x8x8/4:2", "16x4x4/4:4"]
    assert_same_run(merged, train(config, "stopped", (3,), monkeypatch))
    single = train(small_config(*MERGED_RUN[:-1]), "single", (), monkeypatch)
    found, wanted = (load_checkpoint(run.checkpoint(6)) for run in (merged, single))
    for name in ("generator", "discriminator", "generator_ema"):
        for key, value in wanted[name].items():
            torch.testing.assert_close(found[name][key], value, rtol=1e-4, atol=1e-5, msg=f"{name}.{key}")
    assert any(
        not torch.equal(found["discriminator"][key], wanted["discriminator"][key]) for key in found["discriminator"]
    )


def test_the_average_merges_nothing() -> None:
    """Its samples are others than what was timed."""
    state = build_state(small_config(*MERGED_RUN), SPEC, CPU)
    factors = [[layer.merged for layer in grouped_layers([net])] for net in (state.generator, state.generator_ema)]
    assert factors == [[4, 2], [1, 1]]


def test_what_a_run_has_found_is_not_timed_again(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `resume` or by the same words; and older runs go on without merging."""
    config = small_config("r3gan", *RHYTHM, "steps=2")
    assert config.device.merged_groups is None
    monkeypatch.setattr(session, "decide_merging", lambda config, *_: (on_device(config, ["8x8x8/4:2"]), ["merged"]))
    start_run(config, "run")
    monkeypatch.setattr(session, "decide_merging", decide_merging)
    run = RunDir("run")
    assert " merged\n" in run.log.read_text(encoding="utf-8")
    resume_run(run, ["steps=3"])
    assert run.read_config()["device"]["merged_groups"] == ["8x8x8/4:2"]
    start_or_continue(config.model_copy(update={"steps": 4}), "run")
    assert run.read_config()["device"]["merged_groups"] == ["8x8x8/4:2"]
    older = run.read_config()
    del older["device"]["merged_groups"]
    assert check(older).device.merged_groups == []
    resume_run(run, ["steps=5", "device.merged_groups=[]"])
    assert run.read_config()["device"]["merged_groups"] == []


def on_device(config: Config, merged: list[str]) -> Config:
    return config.model_copy(update={"device": config.device.model_copy(update={"merged_groups": merged})})


def test_what_does_not_fit_is_said(in_tmp: Path) -> None:
    with pytest.raises(UserError, match=r"^device.merged_groups=8x8x8/4:4: must divide the number of its groups, 2$"):
        build_state(small_config("r3gan", "device.merged_groups=[8x8x8/4:4]"), SPEC, CPU)
    _, lines, _ = decided(r3gan("device.merged_groups=[9x8x8/4:2,8x8x8/4:2]"), "cpu")
    assert lines == ["groups: 9x8x8/4:2 is of no layer of these networks"]
    sentence = r"merged_groups\.0=64:2: must be channels x height x width/group:factor, such as 64x32x32/16:2$"
    with pytest.raises(UserError, match=sentence):
        check(composed(["device=cpu", "device.merged_groups=[64:2]"]))
