"""What a run will need is told before it trains, and refused where there is clearly less."""

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from builders import small_config
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.resources import in_words
from gan_exp.training import memory as memory_module
from gan_exp.training import needs as needs_module
from gan_exp.training.build import build_state
from gan_exp.training.memory import Samples
from gan_exp.training.needs import Needs, run_needs
from gan_exp.training.session import start_run
from single_steps import CPU

IMAGES = PackedImages(torch.zeros(32, 3, 32, 32, dtype=torch.uint8))


class Usage(NamedTuple):
    free: int


def needs_of(*words: str, model: str = "resnet") -> Needs:
    config = small_config(model, *words)
    return run_needs(config, build_state(config, IMAGES.spec, CPU), IMAGES, CPU, "run")


def with_memory(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    monkeypatch.setattr(needs_module, "total_memory", lambda: int(size))
    monkeypatch.setattr(needs_module, "available_memory", lambda: int(size))


def test_a_step_that_takes_long_is_told_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_of("device.threads=2")
    assert not [line for line in needs.lines() if "a step takes" in line]
    assert 0 < needs.seconds_at_least < 1
    slow = {"float32": needs.step.operations / 60}
    monkeypatch.setattr(needs_module, "OPERATIONS_PER_S", slow)
    (line,) = (line for line in needs.lines() if "a step takes" in line)
    assert line.startswith(
        "warning: a step takes at least 30 s on this CPU; narrower networks (model.generator.width is "
    )
    assert needs_of("device.threads=2", "micro_batch_size=4").step.operations == pytest.approx(
        needs.step.operations, 0.1
    )


@pytest.mark.parametrize("bf16", [False, True])
def test_what_would_fit_is_named_and_does(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 only where the device multiplies it."""
    monkeypatch.setattr(needs_module, "has_bf16", lambda device: bf16)
    for module in (needs_module, memory_module):
        monkeypatch.setattr(module, "resident_memory", lambda: 0)
    monkeypatch.setattr(needs_module, "ALLOWANCE", {})
    words = ("model.generator.width=16", "model.discriminator.width=16", "batch_size=64")
    needed = needs_of(*words, model="fastgan").memory
    assert needed is not None
    with_memory(monkeypatch, 0.8 * needed)
    with pytest.raises(UserError) as refused:
        needs_of(*words, model="fastgan").refuse_too_little()
    sentence = str(refused.value)
    start = f"batch_size=64: this run needs about {in_words(needed)} of memory, and this machine has "
    assert sentence.startswith(start) and sentence.endswith("or train anyway with check_resources=false")
    remedies = re.findall(r"((?:[\w.]+=[\w.]+ )+)\(about", sentence)
    assert [remedy.split("=")[0] for remedy in remedies] == [
        "micro_batch_size",
        *(["device.precision"] if bf16 else []),
        "model.checkpointing",
        "model.generator.width",
    ], sentence
    for remedy in remedies[1 : 3 if bf16 else 2]:
        needs_of(*words, *remedy.split(), model="fastgan").refuse_too_little()
    needs_of(*words, "check_resources=false", model="fastgan").refuse_too_little()


def test_the_larger_of_step_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few images at a time the doctor's 128 samples take more, each with an allowance of its own."""
    for module in (needs_module, memory_module):
        monkeypatch.setattr(module, "resident_memory", lambda: 0)
    monkeypatch.setattr(needs_module, "ALLOWANCE", {})
    whole, parts = needs_of("batch_size=64"), needs_of("batch_size=64", "micro_batch_size=2")
    assert whole.step.peak is not None
    assert whole.memory == whole.step.peak + needs_module.GAPS * whole.step.largest
    lasting = parts.step.lasting
    assert parts.memory == round(lasting + needs_module.AMONG_SAMPLES * (parts.step.samples - lasting))
    assert whole.step.samples == pytest.approx(parts.step.samples, rel=0.01)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), Samples(128)),  # the doctor's
        (("grid_rows=30",), Samples(150)),
        (("dataset.held_out=0.1",), Samples(128, scored=True)),
    ],
)
def test_the_samples_of_the_grid_or_the_doctor(words: tuple[str, ...], expected: Samples) -> None:
    assert needs_module._samples(small_config("mlp", *words), IMAGES) == expected


def test_bfloat16_is_no_remedy_where_it_is_refused_or_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "has_bf16", lambda device: True)
    for words in (["penalty=r1_r2_fd", "penalty.sigma=0.01"], ["device.precision=bf16"]):
        needs = needs_of(*words, "batch_size=64")
        assert "device.precision" not in needs.what_would_fit(needs.memory or 0), words


def test_what_does_not_fit_as_it_is_free_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_of()
    assert not [line for line in needs.lines() if line.startswith("warning")]
    monkeypatch.setattr(needs_module, "available_memory", lambda: 0)
    monkeypatch.setattr(needs_module, "resident_memory", lambda: 1000)
    needs.refuse_too_little()
    assert f"warning: about {in_words(needs.memory or 0)} of memory are needed and 1.0 KB are free" in needs.lines()


def test_processes_on_a_cpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("mlp")
    state = build_state(config, IMAGES.spec, CPU)
    one, two = (run_needs(config, state, IMAGES, CPU, "run", Ranks(count=count, local_count=count)) for count in (1, 2))
    with_memory(monkeypatch, 1.2 * (two.memory or 0))
    one.refuse_too_little()
    with pytest.raises(UserError, match=r"and each of 2 processes has "):
        two.refuse_too_little()


def test_a_run_on_a_gpu_is_counted_in_the_layers_forms_there() -> None:
    config = small_config("r3gan", "penalty=r1_r2", "loss=rpgan")
    state = build_state(config, IMAGES.spec, CPU)
    on_cpu, on_gpu = (run_needs(config, state, IMAGES, torch.device(kind), "run").step.peak for kind in ("cpu", "cuda"))
    assert on_cpu is not None and on_gpu is not None and on_cpu != on_gpu


def test_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checkpoints are kept, and there is a third while it is written."""
    needs = needs_of("evaluate_every_steps=10", "steps=10", model="mlp")
    size = needs.step.checkpoint
    assert 4 * size < needs.disk < 6 * size
    assert needs.lines()[1].startswith(
        f"disk: about {in_words(needs.disk)} at most: 2 checkpoints of {in_words(size)}, best.pt"
    )
    monkeypatch.setattr(needs_module.shutil, "disk_usage", lambda place: Usage(int(1.5 * needs.disk)))
    assert any("are free on the disk" in line for line in needs.lines())
    needs.refuse_too_little()
    monkeypatch.setattr(needs_module.shutil, "disk_usage", lambda place: Usage(int(0.5 * needs.disk)))
    with pytest.raises(UserError, match=r"^keep_checkpoints=2: .* are free there; set keep_checkpoints=1, "):
        needs.refuse_too_little()


def test_a_habit_that_writes_much_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_of("steps=1000", "checkpoint_every_steps=1")
    assert not [line for line in needs.lines() if line.startswith("warning")]
    monkeypatch.setattr(needs_module, "MUCH_TO_WRITE", 100 * needs.step.checkpoint)
    line = next(line for line in needs.lines() if line.startswith("warning"))
    assert line.startswith("warning: checkpoint_every_steps=1 writes 1,001 checkpoints, ") and "with 11 it" in line


def test_a_run_tells_and_keeps_it(in_tmp: Path) -> None:
    start_run(small_config("mlp", "steps=2"), "run")
    run = RunDir.open("run")
    kept = run.read_environment()["needs"]
    size = run.checkpoint(2).stat().st_size
    assert 0.5 * size < kept["checkpoint"] <= size < kept["disk"]
    assert f"memory: about {in_words(kept['memory'])} at most" in run.log.read_text()


def test_out_of_memory_says_what_would_fit(in_tmp: Path) -> None:
    """With a real limit, in a process of its own."""
    config = small_config(
        "resnet", "batch_size=4096", "dataset.resize=32", "model.discriminator.width=16", "device.threads=1", "steps=2"
    )
    assert needs_of().memory is not None  # what it imports needs memory too
    said = in_a_child_with(600_000_000, lambda: start_run(config, "run"))
    expected = r"TrainingFault: .*run: out of memory; train anew with micro_batch_size=\d+ \(about .* to need [\d.]+ GB"
    assert re.match(expected, said), said
    assert RunDir.open("run").read_status()["state"] == "failed"


def in_a_child_with(more: int, act: Callable[[], Any]) -> str:
    """The exception that `act` ends with in a forked process, which may take so many bytes more than it has."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            torch.set_num_threads(1)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (size + more, size + more))
            act()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_a_trial_that_runs_out_of_memory_is_a_sentence(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is a run."""
    from gan_exp.training import decisions

    def fail(*_: object) -> Config:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(decisions, "choose_threads", fail)
    with pytest.raises(TrainingFault, match=r"^out of memory; train with .*it was estimated to need "):
        start_run(small_config("mlp", "steps=2"), "run")
    assert not Path("run").exists()
