"""A configuration or a run from elsewhere runs nothing and writes nowhere else."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from builders import refused
from gan_exp.cli import main
from gan_exp.runs.run_dir import RunDir

RUN_COMMANDS = (["resume", "run", "steps=6"], ["sample", "run"], ["train", "--again", "run"])
command = pytest.mark.parametrize("command", RUN_COMMANDS, ids=lambda words: words[0] + words[1].replace("run", ""))


@pytest.fixture
def canary(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that could be imported and leaves a trace if it is: after the test there is none."""
    Path("canary.py").write_text("open('trace', 'w').close()\nclass Canary:\n    def __init__(self, *_, **__): ...\n")
    monkeypatch.syspath_prepend(str(in_tmp))
    sys.modules.pop("canary", None)
    yield in_tmp
    assert not (in_tmp / "trace").exists() and "canary" not in sys.modules


def edit(run: Path, path: str, value: object) -> None:
    """Set a dotted key of a run's config.yaml, which need not be there yet."""
    config = RunDir(run).read_config()
    node = config
    *parents, last = path.split(".")
    for parent in parents:
        if not isinstance(node.get(parent), dict):
            node[parent] = {}
        node = node[parent]
    node[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


# --- what could run ----------------------------------------------------------------------------------------------

PLACES = [
    "dataset._target_",
    "model.generator._target_",
    "model.discriminator._target_",
    "loss._target_",
    "penalty._target_",
    "augment._target_",
    "optimizer.generator._target_",
    "schedule.lr._target_",
    "schedule.ema._target_",
    "model.generator.widths._target_",  # an argument that is an object itself
    "loss.label_smoothing._target_",
    "_target_",
    "hydra.callbacks.own._target_",
    "hydra.launcher._target_",
    "device._target_",
]


@pytest.mark.parametrize("path", PLACES)
@command
def test_a_runs_configuration_imports_nothing(
    command: list[str], path: str, canary: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, path, "canary.Canary")
    assert path.split(".")[0] in refused(command, capsys)


@pytest.mark.parametrize(
    "target",
    [
        "gan_exp.losses.torch.os.system",
        "gan_exp.losses.torch.load",
        "gan_exp.losses.importlib",
        "gan_exp.losses",
        "gan_exp.losses.",
        ".gan_exp.losses.Hinge",
        "gan_exp.losses..Hinge",
        "gan_exp.losses.Hinge.__init__",
        "gan_exp.losses.Hinge.__class__",
        "gan_exp.losses.__loader__.load_module",
        "gan_exp.losses.__builtins__.exec",
        "gan_exp.losses.../canary.Canary",
        "gan_exp.losses.canary.Canary",
        "canary.Canary",
        "gan_exp.losses\0.Hinge",
        "gan_exp.losses.Hinge\n",
    ],
)
def test_no_way_around_the_list_of_targets(
    target: str, canary: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, "loss._target_", target)
    assert "loss._target_=" in refused(["train", "--again", "run"], capsys)


def test_yaml_tags_build_nothing(canary: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (run / "config.yaml").read_text()
    for tag in ("object:canary.Canary", "object/new:canary.Canary", "name:canary.Canary", "module:canary"):
        (run / "config.yaml").write_text(f"{whole}\nextra: !!python/{tag} {'{}' if 'object' in tag else ''}\n")
        for command in RUN_COMMANDS:
            assert "config.yaml: can't be read (" in refused(command, capsys)
        (run / "config.yaml").write_text(whole)
        value = f"seed=!!python/{tag} {{}}"
        assert "seed=" in refused(["resume", "run", value], capsys)


ROOT = "# @package _global_\n"
OWN_FILES = {
    "a callback": ("experiment/own", f"{ROOT}hydra: {{callbacks: {{own: {{_target_: canary.Canary}}}}}}\n"),
    "logging": (
        "experiment/own",
        f"{ROOT}hydra: {{job_logging: {{version: 1, formatters: {{own: {{(): canary.Canary}}}}}}}}\n",
    ),
    "a package": ("model/own", "# @package hydra.callbacks.own\n_target_: canary.Canary\n"),
    "a package's name": ("model/hydra", "# @package _name_\ncallbacks:\n  own:\n    _target_: canary.Canary\n"),
    "the defaults": ("experiment/own", f"{ROOT}defaults:\n  - /extra@hydra.callbacks.own: x\n"),
    "a launcher": ("experiment/own", f"{ROOT}defaults:\n  - override /hydra/launcher: own\n"),
    "a search path": ("experiment/own", f"{ROOT}hydra: {{searchpath: ['pkg://canary']}}\n"),
    "a target": ("loss/own", "_target_: canary.Canary\n"),
    "an argument": ("loss/own", "_target_: gan_exp.losses.Hinge\nlabel_smoothing: {_target_: canary.Canary}\n"),
    "a tag": ("loss/own", "_target_: !!python/object/apply:canary.Canary []\n"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", OWN_FILES)
@pytest.mark.parametrize("sweep", [False, True])
def test_yaml_from_elsewhere_runs_nothing(
    what: str, sweep: bool, canary: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, content = OWN_FILES[what]
    for path, text in ((name, content), ("extra/x", "_target_: canary.Canary\n"), ("hydra/launcher/own", "{}\n")):
        Path("own", path).parent.mkdir(parents=True, exist_ok=True)
        Path("own", f"{path}.yaml").write_text(text)
    group, option = name.split("/")
    words = ["train", *tiny, "--config-dir", "own", f"{group}={option}", *(["-m", "seed=1,2"] if sweep else [])]
    assert main(words) == 2
    output = capsys.readouterr()
    assert "Traceback" not in output.err + output.out and output.err.startswith("gan-exp: ")


def test_a_search_path_from_elsewhere_imports_nothing(canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hydra reads that of a user's main file before all else, and imports the packages that it names."""
    Path("own.yaml").write_text("hydra: {searchpath: ['pkg://canary']}\n")
    assert "own: sets keys of hydra.*" in refused(["train", "--config-dir", ".", "--config-name", "own"], capsys)


def test_hydras_own_settings_can_be_trusted(in_tmp: Path, tiny: list[str]) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/own.yaml").write_text("# @package _global_\nhydra:\n  run:\n    dir: elsewhere\n")
    words = ["train", *tiny, "--config-dir", "own", "experiment=own"]
    assert main(words) == 2
    assert not Path("elsewhere").exists()
    assert main([*words, "--trust", "hydra"]) == 0
    assert Path("elsewhere/config.yaml").exists()


def test_nothing_of_a_run_is_interpolated(
    canary: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """OmegaConf's resolvers are plain text there: no secret of the environment gets into files or messages."""
    monkeypatch.setenv("SECRET", "xyzzy")
    for text in ("${oc.env:SECRET}", "${oc.create:{_target_:canary.Canary}}", "${gan_exp.new_directory:made}"):
        edit(run, "dataset.name", text)
        for command in RUN_COMMANDS:
            main([*command, *([] if command[0] == "sample" else ["display=plain"])])
            output = capsys.readouterr()
            assert "xyzzy" not in output.out + output.err
        edit(run, "model.generator.leak", text)
        assert text in refused(["train", "--again", "run"], capsys)
        edit(run, "model.generator.leak", 0.2)
    assert not Path("made").exists()
    for path in Path().rglob("*"):
        assert not path.is_file() or b"xyzzy" not in path.read_bytes(), path


# --- where it could write ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "a/b", "..", ".hidden", "-m", "a\nb", "a\0b"])
@command
def test_no_name_leads_out(command: list[str], name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(run, "name", name)
    assert "name=" in refused(command, capsys)


@pytest.mark.parametrize("part", ["log.txt", "metrics.jsonl", ".lock", "checkpoints", "samples", "tensorboard"])
def test_no_link_is_written_through(part: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's log that is a link to ~/.profile would be appended to; its checkpoints elsewhere would be pruned."""
    elsewhere = Path("elsewhere").resolve()
    if (run / part).is_dir():
        shutil.move(run / part, elsewhere)
    else:
        elsewhere.write_text("mine")
        (run / part).unlink(missing_ok=True)
    (run / part).symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in (elsewhere, *elsewhere.rglob("*"))}
    assert f"{part}: is a link out of the run" in refused(["resume", "run", "steps=6"], capsys)
    assert {path: path.stat().st_mtime_ns for path in (elsewhere, *elsewhere.rglob("*"))} == before


def test_linked_files_inside_are_replaced_not_written_through(run: Path) -> None:
    mine = Path("mine")
    mine.write_text("mine")
    for part in ("status.json", "config.yaml"):
        shutil.copy(run / part, run / f"own-{part}")
        (run / part).unlink()
        (run / part).symlink_to(f"own-{part}")
    for place in (run / "samples/animation.gif", RunDir(run).checkpoint(6), RunDir(run).sample_grid(6)):
        place.unlink(missing_ok=True)
        place.symlink_to(mine.resolve())
    RunDir(run).checkpoint(6).unlink()
    assert main(["resume", "run", "steps=6"]) == 0
    assert mine.read_text() == "mine"
