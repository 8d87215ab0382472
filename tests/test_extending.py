"""The worked example of docs/extending.md: the page shows the files as they are, and they train."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from builders import read_lines
from gan_exp.cli import main
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "extending"
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = sorted(path for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".yaml"))
SHORT = ["steps=3", "batch_size=8", "log_every_steps=1", "display=quiet", "device=cpu", "hydra.run.dir=run"]


@pytest.fixture
def example(in_tmp: Path) -> Iterator[Path]:
    """A copy of the example to stand in."""
    shutil.copytree(EXAMPLE, in_tmp, dirs_exist_ok=True)
    yield in_tmp
    sys.modules.pop("my_gan", None)


def test_the_page_shows_the_files() -> None:
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert dict(blocks) == {path.relative_to(EXAMPLE).as_posix(): path.read_text(encoding="utf-8") for path in FILES}


def command(name: str = "train") -> list[str]:
    """The words after `gan-exp` in the page."""
    lines = re.findall(rf"^gan-exp ({name} .*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 1
    return lines[0].split()


def test_the_pages_command_trains(example: Path) -> None:
    assert main([*command(), *SHORT]) == 0
    run = RunDir("run")
    assert (run.read_status()["state"], run.read_status()["step"]) == ("finished", 3)
    config = run.read_config()
    assert config["loss"] == {"_target_": "my_gan.SoftplusMargin", "margin": 1.0}
    assert config["dataset"]["_target_"] == "my_gan.bars"
    assert main(["resume", "run", "steps=4", "--trust", "my_gan"]) == 0
    assert main(["sample", "run", "--trust", "my_gan", "--output", "samples.png"]) == 0
    assert Path("samples.png").is_file()
    for name in ("safetensors", "torch"):
        assert main(["export", "run", "--trust", "my_gan", "--format", name]) == 0
    assert "It was trained on `" in Path("generator.pt2.md").read_text()


def test_without_trust_it_is_refused(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in command() if word not in ("--trust", "my_gan")]
    assert main([*words, *SHORT]) == 2
    assert "allow it with --trust my_gan" in capsys.readouterr().err
    assert "my_gan" not in sys.modules


@pytest.mark.usefixtures("quick_classifier")
def test_its_metric_is_measured_and_selects_the_best_checkpoint(example: Path) -> None:
    chosen = ["evaluate_every_steps=1", "evaluate_count=20", "best_metric=my_gan.SHARPNESS"]
    assert main([*command(), *SHORT, *chosen]) == 0
    run = RunDir("run")
    records = [record for record in read_lines(run.metrics) if "evaluation/sharpness" in record]
    best = max(records, key=lambda record: float(record["evaluation/sharpness"]))
    assert len(records) == 3 and "evaluation/fid_cnn" in best
    assert load_checkpoint(run.best)["best"] == {
        "metric": "my_gan.SHARPNESS",
        "score": best["evaluation/sharpness"],
        "step": best["step"],
        "features": "cnn",
    }
    words = [word.replace("latest", "run") for word in command("evaluate")]
    assert main([*words, "--count", "20", "--seeds", "2", "--checkpoint", "best"]) == 0
    scores = json.loads(run.evaluation(best["step"], "cnn").read_text())["metrics"]
    assert set(scores) == {"fid_cnn", "sharpness"} and len(scores["sharpness"]["values"]) == 2
    assert scores["sharpness"]["values"][0] == best["evaluation/sharpness"]
    # Of a vertical bar's 56 pairs of pixels at most 16 differ, by 255; of a horizontal bar's none.
    assert 0 < scores["sharpness"]["data"] < 255 * 16 / 56


def test_its_metric_needs_trust_too(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SHORT, "best_metric=my_gan.SHARPNESS"]) == 2
    assert "best_metric=my_gan.SHARPNESS: only gan_exp.metrics may be named there" in capsys.readouterr().err
    assert "my_gan" not in sys.modules and not Path("run").exists()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("loss.margin=-1", "loss.margin=-1: must be greater than or equal to 0"),
        ("model.generator.width=0", "model.generator.width=0: must be greater than or equal to 1"),
        ("dataset.cuont=5", "dataset.cuont: unknown key; did you mean dataset.count?"),
        ("split_updates=true penalty=none", "split_updates=true needs a loss with a term for reals and one for fakes"),
    ],
)
def test_its_annotations_are_its_schema(
    override: str, sentence: str, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(), *SHORT, *override.split()]) == 2
    assert sentence in capsys.readouterr().err


def test_each_goes_with_the_packages_own(example: Path) -> None:
    given = ["train", "--config-dir", "conf", "--trust", "my_gan", *SHORT]
    assert main([*given, "dataset=bars", "penalty=r1", "conditional=true", "model.generator.widths=[8]"]) == 0
    shutil.rmtree("run")
    assert main([*given, "model=small", "loss=rpgan", "augment=diffaugment"]) == 0


def test_the_bars_are_what_their_labels_say(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(example))
    from my_gan import bars

    data = bars(count=50)
    assert data.labels is not None and data.classes == ("horizontal", "vertical")
    for image, label in zip(data.images[:, 0], data.labels.tolist(), strict=True):
        assert int(image.sum()) == 8 * 255
        # A horizontal bar fills a row, a vertical one a column.
        assert torch.equal((image == 255).all(dim=1 - label).sum(), torch.tensor(1))
