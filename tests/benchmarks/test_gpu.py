"""The GPU benchmark, on the CPU: all ways compute the same step, and the table comes line by line."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.speed.gpu import __main__ as gpu
from benchmarks.speed.gpu import layers, measure, package, prove, recipes
from benchmarks.speed.gpu.package import ARTICLE, R3GAN_CIFAR, SNGAN_CIFAR
from benchmarks.speed.gpu.r3gan import GAMMA, Steps, Way
from benchmarks.speed.gpu.recipes import CHUNK, SNGAN, Article, Chunks
from benchmarks.speed.gpu.traced import Flat, traced
from torch import Tensor, nn
from torch.nn.functional import softplus

EXACT = torch.float64
R3GAN = {"width": 8, "max_width": 16, "group_size": 4}
WAYS = [
    {},
    {"fast": True},
    {"fast": True, "channels_last": True},
    {"fast": True, "channels_last": True, "fused": True},
]
SNGAN_TINY = replace(
    SNGAN_CIFAR, batch=4, images=16, n_critic=2, generator_model={"width": 4}, discriminator_model={"width": 4}
)
TINY = [
    replace(ARTICLE, batch=4, images=16, generator_model={"widths": [8]}, discriminator_model={"widths": [8]}),
    replace(R3GAN_CIFAR, batch=4, images=16, generator_model=R3GAN, discriminator_model=R3GAN),
]


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Any:
    benchmark = torch.backends.cudnn.benchmark
    yield
    measure.set_precision("float32")
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes seconds."""
    monkeypatch.setattr(layers, "_kernel", lambda name: getattr(layers, name))


def steps_in(way: Way, **options: Any) -> Steps:
    """With weights that are not those of the start, where half of the layers are zero."""
    steps = Steps(way, "cpu", 16, R3GAN, 8, **options)
    torch.manual_seed(1)
    for network in (steps.generator, steps.discriminator):
        network.to(way.exact)
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    steps.average = [parameter.detach().clone() for parameter in steps.generator.parameters()]
    return steps


def errors(found: Any, wanted: Any) -> float:
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(found, wanted, strict=True))


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("options", WAYS, ids=lambda options: "-".join(options) or "plain")
def test_all_ways_have_the_gradients_of_gan_exps_networks(options: dict[str, Any]) -> None:
    """Those of the penalty's gradient too, for all parameters, in float64."""
    steps = steps_in(Way(EXACT, EXACT, **options))
    generator, discriminator = steps.generator, steps.discriminator
    reals, latents = torch.randn(3, 3, 16, 16, dtype=EXACT), torch.randn(3, 8, dtype=EXACT)

    images = [reals.clone().requires_grad_(), generator(latents).detach().requires_grad_()]
    real_logits, fake_logits = (discriminator(x) for x in images)
    gradients = torch.autograd.grad(real_logits.sum() + fake_logits.sum(), images, create_graph=True)
    squares = sum(gradient.square().flatten(1).sum(1) for gradient in gradients)
    loss = (softplus(fake_logits - real_logits) + GAMMA / 2 * squares).mean()
    wanted = torch.autograd.grad(loss, list(discriminator.parameters()))
    found = torch.autograd.grad(
        steps.discriminator_loss(reals, steps.generate(latents)), list(discriminator.parameters())
    )
    assert errors(found, wanted) < 1e-13

    wanted_loss = softplus(discriminator(reals).detach() - discriminator(generator(latents))).mean()
    wanted = torch.autograd.grad(wanted_loss, list(generator.parameters()))
    found = torch.autograd.grad(steps.generator_loss(reals, latents), list(generator.parameters()))
    assert errors(found, wanted) < 1e-13


def test_micro_batches_add_up_to_the_batch() -> None:
    weights = []
    for count in (1, 2):
        steps = steps_in(Way(EXACT, EXACT, fast=True), micro_batches=count)
        steps._normal = lambda shape: torch.ones(shape, dtype=EXACT)  # type: ignore[method-assign]
        steps.step(torch.linspace(-1, 1, 4 * 3 * 16 * 16, dtype=EXACT).view(4, 3, 16, 16))
        weights.append([*steps.generator.parameters(), *steps.discriminator.parameters()])
    assert errors(*weights) < 1e-12


@pytest.mark.parametrize("options", [{"finite_differences": True}, {"gathered": True}], ids="-".join)
def test_a_step_in_bfloat16_moves_both_networks(options: dict[str, Any]) -> None:
    steps = Steps(Way(torch.bfloat16, fast=True, channels_last=True), "cpu", 16, R3GAN, 8, **options)
    before = [[p.detach().clone() for p in network.parameters()] for network in (steps.generator, steps.discriminator)]
    steps.step(torch.rand(4, 3, 16, 16) * 2 - 1)
    for network, old in zip((steps.generator, steps.discriminator), before, strict=True):
        assert all(p.isfinite().all() for p in network.parameters())
        assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), old, strict=True))


def test_flat_adam_is_torchs() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 1))
    flat = Flat(plain, 1e-2, (0.5, 0.9), channels_last=True)
    optimizer = torch.optim.Adam(plain.parameters(), 1e-2, (0.5, 0.9))
    for _ in range(3):
        images = torch.randn(4, 2, 3, 3)
        flat.update(lambda network, x=images: network(x).square().mean())
        optimizer.zero_grad()
        plain(images).square().mean().backward()
        optimizer.step()
    for view, parameter in zip(flat.views(), plain.parameters(), strict=True):
        torch.testing.assert_close(view, parameter.detach())


@pytest.mark.slow
@pytest.mark.usefixtures("uncompiled")
def test_a_trace_holds_the_second_derivatives() -> None:
    """Which torch.compile refuses to make by itself."""
    steps = steps_in(Way(EXACT, EXACT, fast=True, channels_last=True, fused=True))
    reals, fakes = (torch.randn(2, 3, 16, 16, dtype=EXACT) for _ in range(2))

    def gradients() -> list[Tensor]:
        return list(torch.autograd.grad(steps.discriminator_loss(reals, fakes), list(steps.discriminator.parameters())))

    assert errors(traced(gradients, "cpu", compiled=False)(), gradients()) < 1e-13


def test_a_traced_step_is_the_step_itself() -> None:
    """Its tracing is one."""
    recipe, ends = TINY[0], []
    for trace in (False, True):
        chunks = Chunks(Article(*recipe.networks("cpu"), recipe.noise("cpu"), recipe.batch))
        chunks.fill()
        step = traced(chunks.step, "cpu", compiled=False) if trace else chunks.step
        for _ in range(2 if trace else 3):
            step()
        ends.append([chunks.article.generator.buffer, chunks.article.discriminator.buffer, chunks.article.means])
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))


def test_each_step_of_a_chunk_has_draws_of_its_own() -> None:
    chunks = Chunks(Article(*TINY[0].networks("cpu"), TINY[0].noise("cpu"), 4))
    given: list[Tensor] = []
    chunks.article.step_with = lambda rows, latents: given.append(latents)  # type: ignore[method-assign, assignment, return-value]
    for _ in range(2):
        chunks.fill()
        for _ in range(CHUNK):
            chunks.step()
    assert len({latents.flatten()[0].item() for latents in given}) == 2 * CHUNK


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sngans_step_moves_both_networks(dtype: torch.dtype) -> None:
    sngan = SNGAN(*SNGAN_TINY.networks("cpu"), SNGAN_TINY.noise("cpu"), 4, n_critic=2, dtype=dtype)
    before = [network.buffer.clone() for network in (sngan.generator, sngan.discriminator)]
    sngan.step()
    assert sngan.discriminator.updates == 2 and sngan.generator.updates == 1
    assert all(
        (network.buffer != old).any()
        for network, old in zip((sngan.generator, sngan.discriminator), before, strict=True)
    )


def test_operations_are_those_of_the_layers() -> None:
    """Of the article: one pass of G for D's fakes and three for its own update; six of D, then two."""
    generator = 100 * 256 + 256 * 512 + 512 * 1024 + 1024 * 784
    discriminator = 784 * 512 + 512 * 256 + 256
    assert ARTICLE.operations("cpu") == 2 * 32 * (4 * generator + 8 * discriminator)


@pytest.mark.slow
@pytest.mark.usefixtures("uncompiled")
def test_the_table_comes_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two recipes, with narrow networks; one way fails."""
    for name, recipe in zip(("ARTICLE", "R3GAN_CIFAR"), TINY, strict=True):
        monkeypatch.setattr(gpu, name, recipe)
    monkeypatch.setattr(gpu, "measure", lambda make, device: measure.measure(make, device, seconds=1e-3))
    for module in (gpu, recipes):
        monkeypatch.setattr(module, "CHUNK", 2)
    plans = [plan for plan in gpu.plans("cpu", full=False) if plan.recipe in TINY][:8]

    def fail() -> Any:
        raise RuntimeError("out of luck\nand more")

    plans[1] = plans[1]._replace(make=fail)
    said: list[str] = []
    table = gpu.run(plans, "cpu", float("inf"), dict.fromkeys(measure.PRECISIONS, 1e12), said.append)
    assert len(said) == len(plans) + 2
    assert said[2] == "  gan-exp, captured, float32: RuntimeError: out of luck"
    assert len(table) == len(plans) and {len(row) for row in table} == {1 + len(gpu.HEADINGS)}


def test_nothing_is_begun_that_would_end_too_late() -> None:
    plan = gpu.Plan(TINY[0], "slow", "float32", lambda: pytest.fail("was begun"), needs=10)
    said: list[str] = []
    gpu.run([plan], "cpu", 5.0, dict.fromkeys(measure.PRECISIONS, 1e12), said.append)
    assert said[-1] == "  slow: left out, for there is no time left (--full measures all)"


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "no CUDA GPU can be used here" in capsys.readouterr().out


def test_the_whole_run_is_compared_with_the_bare_step(tmp_path: Path) -> None:
    """200 steps in 0.2 s, then 100 in 0.3 s; the first record has the capture's time in it."""
    rates = [(100, 1.0), (300, 200 * 32 / 0.2), (400, 100 * 32 / 0.3)]
    records = [{"step": step, "progress/images_per_sec": rate} for step, rate in rates]
    lines = [json.dumps(record) for record in (*records, {"step": 400, "evaluation/fid": 1.0})]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    whole = prove.seconds_of(tmp_path / "metrics.jsonl")
    assert whole == pytest.approx(0.5 / 300)
    said = "graph: 600 steps/s, the bare captured step 1,200: 2.000 times its time"
    assert prove.ratio("graph", whole, 0.5 / 600) == said
    assert prove.ratio("graph", None, 0.5) == "graph: no rate, so no ratio to the bare captured step"


@pytest.mark.slow
def test_hydra_is_not_needed() -> None:
    code = "import sys; sys.modules.update(dict.fromkeys(('hydra', 'omegaconf', 'pydantic', 'rich', 'tensorboard')))"
    subprocess.run([sys.executable, "-c", f"{code}; import benchmarks.speed.gpu.__main__"], check=True)


def test_the_papers_sizes() -> None:
    """Section 4 and table 9 of R3GAN: 20.7 million parameters of each network on CIFAR-10."""
    generator, discriminator = package.R3GAN_CIFAR.networks("meta")
    for network in (generator, discriminator):
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(20.7e6, rel=0.01)
