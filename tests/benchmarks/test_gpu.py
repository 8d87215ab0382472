"""The GPU benchmark, on the CPU: it measures gan-exp's own step, and peers compute what they should."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.speed.gpu import __main__ as gpu
from benchmarks.speed.gpu import measure, package, proofs, prove
from benchmarks.speed.gpu.package import ARTICLE, R3GAN_CIFAR, SNGAN_CIFAR, Recipe, Step
from benchmarks.speed.gpu.peers import GAMMA, PlainLoop, R3GANLoop
from torch import nn
from torch.nn.functional import softplus

from builders import make_config
from gan_exp.data.packed import DataSpec
from gan_exp.runtime.device import own_settings
from gan_exp.training.build import build_state, build_step_config

EXACT = torch.float64
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Any:
    with own_settings():
        yield


def described(value: Any) -> Any:
    """Losses and penalties are equal if their classes and settings are."""
    return (type(value), vars(value)) if hasattr(value, "__dict__") else value


@pytest.mark.parametrize(("recipe", "words"), [(ARTICLE, "article"), (SNGAN_CIFAR, "sngan_cifar10")])
def test_recipes_are_those_of_the_configuration(recipe: Recipe, words: str) -> None:
    """Networks, optimizers, average, settings of the step. R3GAN and DCGAN have other batches here, and no labels."""
    config = make_config(f"experiment={words}", "device=cpu", "device.precision=float32")
    meta = torch.device("meta")
    with meta:  # where nothing has a norm
        wanted = build_state(config.model_copy(update={"spectral_norm": False}), DataSpec(recipe.shape), meta)
        found = recipe.networks("meta")
    for name, network in zip(("generator", "discriminator"), found, strict=True):
        shapes = [value.shape for value in network.parameters()]
        assert shapes == [value.shape for value in wanted.networks[name].parameters()]
    options = [
        {key: tuple(value) if key == "betas" else value for key, value in optimizer.param_groups[0].items()}
        for optimizer in (recipe.optimizers(nn.Linear(1, 1), fused=True)[0], wanted.generator_optimizer)
    ]
    ours, theirs = ({key: value for key, value in each.items() if key not in ("params", "fused")} for each in options)
    assert ours == theirs and recipe.adam is type(wanted.generator_optimizer)
    of_config, of_recipe = vars(build_step_config(config)), vars(recipe.config)
    assert {key: described(value) for key, value in of_recipe.items()} == {
        key: described(value) for key, value in of_config.items()
    }
    assert recipe.ema_halflife_kimg == config.ema_halflife_kimg and recipe.spectral == config.spectral_norm
    assert (recipe.batch, recipe.n_critic, recipe.latent_dim) == (config.batch_size, config.n_critic, config.latent_dim)


def test_the_step_is_that_of_a_run() -> None:
    """Draws, updates, running means and average."""
    step = Step(SNGAN_CIFAR.narrow(), "cpu", "plain")
    before = [value.clone() for value in step.state.generator_ema.parameters()]
    for _ in range(2):
        step()
    assert step.state.step == 2 and step.state.images_seen == 2 * 2 * 4
    assert step.means.read().keys() >= {"loss/discriminator", "loss/generator", "accuracy/discriminator"}
    pairs = zip(before, step.state.generator_ema.parameters(), strict=True)
    assert any(not torch.equal(*pair) for pair in pairs)


def test_another_step_than_the_one_named_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"steps: plain \(CUDA graphs need a CUDA GPU\)"):
        Step(ARTICLE.narrow(), "cpu", "compiled")
    with pytest.raises(RuntimeError, match="no longer captured"):
        package._heard("steps: no longer captured (the step waits for the GPU, which no graph can)")


def test_groups_are_merged_as_in_a_run_and_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, whose timing is a stand-in here; the recipe with finite differences has the same shapes."""
    asked: list[Any] = []
    monkeypatch.setattr(package, "choose_merging", lambda *given: asked.append(given) or ({"32x8x8/4": 2}, "groups"))
    monkeypatch.setattr(package, "_prepared", lambda device, precision: CPU)
    package._timed.cache_clear()
    for recipe in (R3GAN_CIFAR, package.R3GAN_DIFFERENCES):
        assert package.merged_groups(recipe, "bf16", "cuda") == ({"32x8x8/4": 2}, "groups")
    package._timed.cache_clear()
    ((shapes, rows, precision, _),) = asked
    named = {shape.name for shape in shapes}
    assert named == {f"1536x{side}x{side}/16" for side in (4, 8, 16, 32)} and (rows, precision) == (64, "bf16")
    assert (
        package.merged_groups(ARTICLE, "bf16", "cuda") == package.merged_groups(R3GAN_CIFAR, "bf16", "cpu") == ({}, "")
    )
    monkeypatch.setattr(package, "merged_groups", lambda *_: ({"32x8x8/4": 2}, "groups"))
    layers = package.grouped_layers(Step(R3GAN_CIFAR.narrow(), "cpu", "plain").state.networks.values())
    assert {layer.shape.name: layer.merged for layer in layers} == {"32x4x4/4": 1, "32x8x8/4": 2, "16x16x16/4": 1}


def errors(found: Any, wanted: Any) -> float:
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(found, wanted, strict=True))


def test_r3gans_loop_has_the_gradients_of_gan_exps_networks() -> None:
    """Those of the penalty's gradient too, for all parameters, in float64, with weights that are not the first ones."""
    loop = R3GANLoop(R3GAN_CIFAR.narrow(), "cpu", None)
    generator, discriminator = loop.generator.to(EXACT), loop.discriminator.to(EXACT)
    torch.manual_seed(1)
    for parameter in (*generator.parameters(), *discriminator.parameters()):
        parameter.data += 0.05 * torch.randn_like(parameter)
    reals, latents = torch.randn(4, 3, 16, 16, dtype=EXACT), torch.randn(4, 8, dtype=EXACT)
    loop.latents = lambda: latents  # type: ignore[method-assign]
    made = generator(latents)
    assert errors([loop.generate()], [made]) < 1e-13

    images = [reals.clone().requires_grad_(), made.detach().requires_grad_()]
    real_logits, fake_logits = (discriminator(x) for x in images)
    gradients = torch.autograd.grad(real_logits.sum() + fake_logits.sum(), images, create_graph=True)
    squares = sum(gradient.square().flatten(1).sum(1) for gradient in gradients)
    loss = (softplus(fake_logits - real_logits) + GAMMA / 2 * squares).mean()
    wanted = torch.autograd.grad(loss, list(discriminator.parameters()))
    found = torch.autograd.grad(loop.discriminator_loss(reals, made), list(discriminator.parameters()))
    assert errors(found, wanted) < 1e-12


@pytest.mark.parametrize(("kind", "recipe"), [(R3GANLoop, R3GAN_CIFAR), (PlainLoop, ARTICLE), (PlainLoop, SNGAN_CIFAR)])
def test_a_peers_step_moves_both_networks(kind: Any, recipe: Recipe) -> None:
    loop = kind(recipe.narrow(), "cpu")
    networks = loop.generator, loop.discriminator
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    loop()
    for network, old in zip(networks, before, strict=True):
        assert all(p.isfinite().all() for p in network.parameters())
        assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), old, strict=True))


def test_operations_are_those_of_the_layers() -> None:
    """Of the article: one pass of G for D's fakes and three for its own update; six of D, then two."""
    generator = 100 * 256 + 256 * 512 + 512 * 1024 + 1024 * 784
    discriminator = 784 * 512 + 512 * 256 + 256
    assert ARTICLE.operations("cpu") == 2 * 32 * (4 * generator + 8 * discriminator)


def test_the_table_comes_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two recipes, with narrow networks; one way is not to be had on a CPU."""
    article, r3gan = ARTICLE.narrow(), R3GAN_CIFAR.narrow()
    chosen = [(article, "plain", "float32"), (article, "graph", "float32"), (article, gpu.PEERS[0], "tf32")]
    chosen += [(r3gan, "plain", "bf16"), (r3gan, gpu.PEERS[1], "bf16")]
    monkeypatch.setattr(gpu, "CHOSEN", [(*each, 0.0) for each in chosen])
    monkeypatch.setattr(gpu, "measure", lambda make, device: measure.measure(make, device, seconds=1e-4))
    said: list[str] = []
    plans = list(gpu.plans("cpu", full=False))
    table = gpu.run(plans, "cpu", float("inf"), dict.fromkeys(measure.PRECISIONS, 1e12), said.append)
    assert len(said) == len(chosen) + 2
    assert said[2] == "  gan-exp, captured, float32: RuntimeError: steps: plain (CUDA graphs need a CUDA GPU)"
    assert len(table) == len(chosen) and {len(row) for row in table} == {1 + len(gpu.HEADINGS)}
    assert [row[1] for row in table[2:4]] == ["peer: a plain PyTorch loop, torch's defaults", "gan-exp, plain, bf16"]


def test_the_plan() -> None:
    """The first figures come from what is quick; with --full each recipe has each way and precision once."""
    quick, full = (list(gpu.plans("cuda", whole)) for whole in (False, True))
    assert quick[0].recipe is ARTICLE and quick[0].needs <= 5
    assert {plan.recipe.name for plan in quick} == {recipe.name for recipe in package.RECIPES}
    named = [(plan.recipe.name, plan.label) for plan in full]
    assert len(set(named)) == len(named) and named[: len(quick)] == [(plan.recipe.name, plan.label) for plan in quick]
    own = [label for _, label in named if label.startswith("gan-exp")]
    assert len(own) == len(package.RECIPES) * len(package.NAMES) * len(measure.PRECISIONS)


def test_nothing_is_begun_that_would_end_too_late() -> None:
    plan = gpu.Plan(ARTICLE.narrow(), "slow", "float32", lambda: pytest.fail("was begun"), needs=10)
    said: list[str] = []
    gpu.run([plan], "cpu", 5.0, dict.fromkeys(measure.PRECISIONS, 1e12), said.append)
    assert said[-1] == "  slow: left out, for there is no time left (--full measures all)"


@pytest.mark.parametrize("main", [gpu.main, prove.main])
def test_without_a_gpu_it_says_so(main: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 2
    assert "no CUDA GPU can be used here" in capsys.readouterr().out


def test_what_failed_and_what_was_left_out() -> None:
    def fail(device: str) -> str:
        raise proofs.Failed("3, at most 2")

    def stumble(device: str) -> str:
        raise RuntimeError("CUDA error: out of luck\nand more")

    chosen = [
        prove.Check("good", lambda device: f"on {device}", 1),
        prove.Check("bad", fail, 1),
        prove.Check("worse", stumble, 1),
        prove.Check("long", fail, 100),
        prove.Check("elsewhere", fail, 1, gpu=True),
        prove.Check("unknown", fail, 1, packages=("no_such_package",)),
    ]
    said: list[str] = []
    assert prove.table(chosen, "cpu", 50, said.append) == 2
    assert [line.split("  ")[1].strip() for line in said[:-1]] == ["passed", *["FAILED"] * 2, *["left out"] * 3]
    found = [line.rsplit("  ", 1)[1] for line in said[:-1]]
    assert found[:3] == ["on cpu", "3, at most 2", "RuntimeError: CUDA error: out of luck"]
    assert found[4:] == ["needs a CUDA GPU", "needs no_such_package (pip install 'gan-exp[dev]')"]
    assert said[-1].startswith("1 passed, 2 FAILED, 3 left out")


def test_the_usual_checks_take_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten seconds for Python, torch and CUDA to start; --full has the others, and leaves none out."""
    ran: list[tuple[str, float]] = []

    def note(chosen: Any, device: str, seconds: float, say: Any) -> int:
        ran.extend((check.name, seconds) for check in chosen)
        return 0

    monkeypatch.setattr(prove, "table", note)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    every = prove.checks()
    usual = [check for check in every if not check.full]
    assert prove.main([]) == prove.main(["--full"]) == 0
    assert ran == [(check.name, 120) for check in usual] + [(check.name, float("inf")) for check in every]
    assert sum(check.needs for check in usual) <= prove.SECONDS - 10
    assert every[: len(usual)] == usual  # what says whether numbers are right, then the targets, then the rest


@pytest.mark.slow
def test_a_cpu_passes_what_it_can() -> None:
    """All but the whole run, a command of its own."""
    said: list[str] = []
    chosen = [check for check in prove.checks() if check.run is not proofs.whole_run]
    assert prove.table(chosen, "cpu", float("inf"), said.append) == 0, said
    assert said[-1].startswith("10 passed, 0 FAILED, 6 left out")


def test_seconds_of_a_whole_run(tmp_path: Path) -> None:
    """200 steps in 0.2 s, then 100 in 0.3 s; the first record has the capture's time in it."""
    rates = [(100, 1.0), (300, 200 * 32 / 0.2), (400, 100 * 32 / 0.3)]
    records = [{"step": step, "progress/images_per_sec": rate} for step, rate in rates]
    lines = [json.dumps(record) for record in (*records, {"step": 400, "evaluation/fid": 1.0})]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert proofs.seconds_of(tmp_path / "metrics.jsonl") == pytest.approx(0.5 / 300)


@pytest.mark.slow
def test_torch_and_numpy_are_enough() -> None:
    missing = ("hydra", "omegaconf", "pydantic", "annotated_types", "rich", "tensorboard", "yaml", "PIL", "scipy")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import benchmarks.speed.gpu.__main__ as gpu"
    code += "; import benchmarks.speed.gpu.prove; gpu.Step(gpu.ARTICLE.narrow(), 'cpu', 'plain')()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=proofs.ROOT)


def test_the_papers_sizes() -> None:
    """Section 4 and table 9 of R3GAN: 20.7 million parameters of each network on CIFAR-10."""
    generator, discriminator = R3GAN_CIFAR.networks("meta")
    for network in (generator, discriminator):
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(20.7e6, rel=0.01)


def test_a_wrong_step_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the distance between the weights, where only another step can show it."""

    def other(recipe: Recipe, device: str, way: str, precision: Any) -> Step:
        return Step(recipe if way != "graph" else replace(recipe, betas=(0.9, 0.9)), device, "plain", precision)

    recipe = R3GAN_CIFAR.narrow()
    monkeypatch.setattr(proofs, "Step", other)
    monkeypatch.setattr(proofs, "COMPARED", 2)
    assert proofs.same(recipe, "compiled", "float32", "cpu") == "after 2 steps 0.0e+00 of the way apart, at most 0.05"
    with pytest.raises(proofs.Failed, match="of the way apart"):
        proofs.same(recipe, "graph", "float32", "cpu")
