"""`python -m benchmarks.speed.gpu.kernels`: how many kernels a training step starts on a GPU, plain and compiled.

It needs no GPU. The step runs on the CPU, with layers that are narrow but take the forms of a GPU's. In the plain step
every operation that computes or copies counts as a kernel, although some start several; views and allocations start
none. In the compiled step every call counts in the code that Inductor writes for an H100.
"""

import argparse
import operator
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, cast
from unittest import mock

import torch
from torch import fx
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.gpu.inductor import calls, compile_kernels, gpu_code
from benchmarks.speed.gpu.package import ARTICLE, DCGAN_64, R3GAN_CIFAR, R3GAN_FFHQ, SNGAN_CIFAR, Recipe
from benchmarks.tables import ROOT, Table, as_markdown, as_text, write_section
from gan_exp.losses import NonSaturating, Wasserstein
from gan_exp.models.fastgan import FastGANDiscriminator, FastGANGenerator
from gan_exp.models.parts import counted_for
from gan_exp.penalties import R1, WGANGP
from gan_exp.training.acceleration.captured import CapturedStep
from gan_exp.training.acceleration.programs import Programs
from gan_exp.training.precision import Precision
from gan_exp.training.step_types import StepConfig

ALLOCATIONS = ("aten::empty", "aten::new_empty", "aten::empty_like", "aten::lift_fresh", "aten::detach")
CPU = torch.device("cpu")
HEADINGS = [
    "networks",
    "precision",
    "plain",
    "traced",
    "compiled",
    "fused + library",
    "tracing",
    "writing",
    "compiling",
]
WGAN_GP = replace(
    SNGAN_CIFAR, name="WGAN-GP CIFAR-10, n_critic 5", spectral=False, config=StepConfig(Wasserstein(), WGANGP())
)
FASTGAN = replace(
    DCGAN_64, name="FastGAN 64x64, R1", generator=FastGANGenerator, discriminator=FastGANDiscriminator,
    config=StepConfig(NonSaturating(), R1(), reuse_fakes=True),
)  # fmt: skip
COUNTED: tuple[tuple[Recipe, Precision, dict[str, Any]], ...] = (  # and the widths
    (ARTICLE, "float32", {}),
    (DCGAN_64, "bf16", {"width": 4}),
    (SNGAN_CIFAR, "bf16", {"width": 8}),
    (WGAN_GP, "bf16", {"width": 8}),
    (R3GAN_CIFAR, "bf16", {"width": 16, "max_width": 16}),
    (R3GAN_FFHQ, "bf16", {"width": 16, "max_width": 32}),
    (FASTGAN, "bf16", {"width": 4}),
)


class Launches(TorchDispatchMode):
    """Counts operations that compute or copy; views and allocations start no kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.paused and computes(func):
            self.found[func._schema.name] += 1
        return func(*args, **(kwargs or {}))

    @contextmanager
    def pause(self) -> Iterator[None]:
        self.paused = True
        yield
        self.paused = False


def computes(func: Any) -> bool:
    aliases = [returned.alias_info for returned in func._schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in aliases)
    return not (is_view or func._schema.name in ALLOCATIONS or func._schema.name.startswith("profiler::"))


class Watching:
    """In the place of CUDA's recorder: counts what the steps start."""

    def __init__(self) -> None:
        self.launches = Launches()

    def warm_up(self, run: Callable[[], Any]) -> Any:
        with self.launches:
            return run()


class Compiler:
    """Writes each program for a GPU, and runs it as it was traced; counts what is in the code each time it runs."""

    def __init__(self, launches: Launches) -> None:
        self._launches = launches
        self.kernels: Counter[str] = Counter()
        self.operations = 0
        self.write_seconds = self.compile_seconds = 0.0

    def __call__(self, graph: fx.GraphModule, examples: list[torch.Tensor]) -> Callable[..., Any]:
        nodes = [node.target for node in graph.graph.nodes if node.op == "call_function"]
        operations = sum(target is not operator.getitem and computes(target) for target in nodes)
        began = time.perf_counter()
        code = gpu_code(graph, examples)
        written = time.perf_counter()
        compile_kernels(code)
        self.write_seconds += written - began
        self.compile_seconds += time.perf_counter() - written
        kernels = calls(code)

        def run(*arguments: torch.Tensor) -> Any:
            self.kernels += kernels
            self.operations += operations
            with self._launches.pause():
                return graph(*arguments)

        return run


class Count(NamedTuple):
    """Of one step."""

    plain: int
    traced: int
    fused: int  # kernels that the compiler writes
    library: int  # products, convolutions and what else it leaves to libraries
    beside: int  # what the compiled step starts outside of its programs, such as draws
    trace_seconds: float  # of all programs
    write_seconds: float
    compile_seconds: float  # of the kernels that the compiler writes, in one process


def count(recipe: Recipe, precision: Precision) -> Count:
    with counted_for("cuda"):
        plain, _, _ = _second_step(recipe, precision, compiled=False)
        beside, compiler, programs = _second_step(recipe, precision, compiled=True)
    assert compiler is not None and programs is not None
    traces = sum(program.run.trace_seconds for program in programs.made.values())
    found = compiler.kernels
    seconds = (traces, compiler.write_seconds, compiler.compile_seconds)
    return Count(plain, compiler.operations, found["fused"], found["library"], beside, *seconds)


def _second_step(recipe: Recipe, precision: Precision, compiled: bool) -> tuple[int, Compiler | None, Programs | None]:
    """The operations that the second step starts; the first one makes what later ones find."""
    watching = Watching()
    compiler = Compiler(watching.launches) if compiled else None
    programs = Programs(_heard, compiler) if compiled else None
    config = replace(recipe.config, precision=precision)
    step = CapturedStep(recipe.state("cpu"), config, CPU, recorder=cast(Any, watching), programs=programs)
    inputs = recipe.inputs(CPU)
    for number in range(2):
        if compiler is not None:
            compiler.kernels, compiler.operations = Counter(), 0
        watching.launches.found = Counter()
        step(inputs.discriminator(number), inputs.generator(number))
    return watching.launches.found.total(), compiler, programs


def _heard(line: str) -> None:
    if not line.startswith("steps: compiled in"):
        raise RuntimeError(line)


def thin(recipe: Recipe, widths: dict[str, Any]) -> Recipe:
    """The same step, as deep and with as many updates, that a CPU computes in less than a second."""
    of_generator, of_discriminator = (
        {**each, **widths} for each in (recipe.generator_model, recipe.discriminator_model)
    )
    batch = min(recipe.batch, 16) if widths else recipe.batch  # the compiler writes sums of up to 8 in another way
    return replace(recipe, batch=batch, images=64, generator_model=of_generator, discriminator_model=of_discriminator)


def row(name: str, precision: str, found: Count) -> list[str]:
    """As `HEADINGS`."""
    numbers = (found.plain, found.traced, found.fused + found.library + found.beside)
    parts = f"{found.fused:,} + {found.library:,}"
    seconds = (f"{each:.0f} s" for each in (found.trace_seconds, found.write_seconds, found.compile_seconds))
    return [name.split(",")[0], precision, *(f"{number:,}" for number in numbers), parts, *seconds]


@contextmanager
def nothing_cached() -> Iterator[None]:
    """What was compiled before is compiled again."""
    with tempfile.TemporaryDirectory() as folder:
        places = dict.fromkeys(("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"), folder)
        with mock.patch.dict(os.environ, places):
            yield


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.gpu.kernels", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="networks whose name holds this, in small letters")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args(words)
    where = sentence(describe_machine(torch.get_num_threads()))
    table: Table = [HEADINGS]
    for recipe, precision, widths in COUNTED:
        if options.only in recipe.name.lower():
            with nothing_cached():
                table.append(row(recipe.name, precision, count(thin(recipe, widths), precision)))
            print(" | ".join(table[-1]), flush=True)
    print(as_text(table))
    if options.docs:
        write_section(
            ROOT / "docs/performance.md", "kernels", f"{as_markdown(table)}\n\n{where}", "benchmarks.speed.gpu.kernels"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
