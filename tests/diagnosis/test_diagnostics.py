"""The doctor during training changes nothing, gives the same verdicts after a resume, and reports them everywhere."""

import copy
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from builders import assert_same, read_lines, small_config
from gan_exp.cli import main
from gan_exp.diagnosis.examination import examine
from gan_exp.runs.run_dir import RunDir
from gan_exp.training.assembly import build_diagnostics
from gan_exp.training.build import build_data, build_held_out, build_state

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TAGS = {f"samples/{name}" for name in ("spread", "distance", "variety", "duplicates", "copies", "classes")}
OF_IMAGES = {"samples/texture"}
STARVED = (
    "steps=650", "log_every_steps=50", "sample_every_steps=50", "checkpoint_every_steps=200", "batch_size=8",
    "model.generator.widths=[8]", "model.discriminator.widths=[64]", "optimizer.generator.lr=1e-9",
    "optimizer.discriminator.lr=1e-2", "display=plain", "schedule=constant", "penalty=none",
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (("mlp",), set()),
        (("mlp", "dataset.held_out=0.3", "pac=2"), {"discriminator/overfitting"}),
        (("resnet", "dataset.held_out=0.3", "conditional=true", "spectral_norm=true"), {"discriminator/overfitting"}),
        (("points", "dataset=ring", "dataset.count=900", "latent_dim=2"), {"discriminator/overfitting"}),
        (("dcgan", "dataset=grid", "model=points", "dataset.count=30000"), set()),  # D can't memorise so many
    ],
    ids="-".join,
)
def test_looking_changes_nothing(words: tuple[str, ...], more: set[str]) -> None:
    config = small_config("points" if "model=points" in words else words[0], *words[1:])
    data = build_data(config, CPU)
    state = build_state(config, data.spec, CPU)
    next(state.discriminator.children()).eval()  # as a frozen backbone may have been built
    modes = [layer.training for layer in state.discriminator.modules()]
    before, random = copy.deepcopy(state.state_dict()), torch.get_rng_state()
    diagnostics = build_diagnostics(config, data, partial(build_held_out, config), CPU)
    first, second = (diagnostics.compare(diagnostics.look(state.generator_ema, state.discriminator)) for _ in range(2))
    of_images = set() if data.extent is not None else OF_IMAGES
    assert first.keys() == TAGS | of_images | more and second.pop("samples/change") == 0 and second == first
    assert_same(state.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert [layer.training for layer in state.discriminator.modules()] == modes


def test_a_run_of_an_older_version_goes_on_without_what_samples_were() -> None:
    config = small_config("mlp")
    data = build_data(config, CPU)
    assert build_diagnostics(config, data, partial(build_held_out, config), CPU).state_dict() == {"samples": None}


@pytest.fixture(scope="module")
def starved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("starved") / "run"
    assert main(["train", *STARVED, f"hydra.run.dir={place}"]) == 0
    return place


def test_a_starved_generator_is_reported_everywhere(starved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDir(starved)
    (verdict, *_) = run.read_status()["doctor"]
    assert verdict["name"] == "generator not learning" and verdict["remedies"][0] == "optimizer.generator.lr=0.0002"
    assert examine(run)[1][0].plain() == verdict
    log = run.log.read_text()
    assert log.count("generator not learning since") == 1  # once, when it began
    events = EventAccumulator(str(run.tensorboard)).Reload()
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("doctor/text_summary")]
    assert "generator not learning" in texts[-1] and verdict["meaning"] in texts[-1]
    assert {"samples/change", "samples/distance"} <= set(events.Tags()["scalars"])
    assert main(["doctor", str(starved)]) == 0
    assert "optimizer.discriminator.lr=1e-2 display" not in (shown := capsys.readouterr().out)
    assert "generator not learning since step" in shown and "optimizer.generator.lr=0.0002" in shown


def test_a_resumed_run_gets_the_same_verdicts(starved: Path, in_tmp: Path) -> None:
    assert main(["train", *STARVED[1:], "steps=400", "hydra.run.dir=run"]) == 0
    assert main(["resume", "run", "steps=650"]) == 0
    first, second = RunDir(starved), RunDir("run")
    assert first.read_status()["doctor"] == second.read_status()["doctor"]
    evidence = [[line for line in read_lines(run.metrics) if "samples/spread" in line] for run in (first, second)]
    assert len(evidence[0]) == 14 and evidence[0] == evidence[1]
    assert RunDir("run").log.read_text().count("generator not learning since") == 1


def test_a_run_that_diverges_is_called_so(in_tmp: Path) -> None:
    words = ["steps=50", "lr=1e30", "optimizer=sgd", "display=quiet", "hydra.run.dir=run"]
    assert main(["train", *words]) == 1
    (verdict,) = json.loads(Path("run/status.json").read_text())["doctor"]
    assert verdict["name"] == "diverged" and verdict["remedies"] == ["lr=0.02"] and verdict["since"] >= 1
    assert examine(RunDir("run"))[1][0].plain() == verdict
