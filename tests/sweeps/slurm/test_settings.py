"""The keys slurm.*: times and memory as people write them, and a sentence for what can't be read."""

from pathlib import Path

import pytest

from gan_exp.config.catalog import conf_dir
from gan_exp.errors import UserError
from gan_exp.sweeps.slurm.settings import SlurmSettings, read_settings


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90m", 90), ("4h", 240), ("1d12h", 2160), ("1.5h", 90), ("30s", 1), ("90", 90), ("30:00", 30),
        ("4:00:00", 240), ("1-12", 2160), ("1-12:30", 2190), ("1-00:00:30", 1441),
    ],
)  # fmt: skip
def test_time(text: str, minutes: int) -> None:
    assert read_settings([f"slurm.time={text}", "slurm.warning_seconds=1"]).minutes == minutes


@pytest.mark.parametrize(("text", "memory"), [("8G", "8G"), ("16 GB", "16G"), ("1.5G", "1536M"), ("500m", "500M")])
def test_memory(text: str, memory: str) -> None:
    assert read_settings([f"slurm.memory={text}"]).slurm_memory == memory


def test_the_ready_made_file_says_what_the_defaults_are() -> None:
    ready_made = conf_dir() / "slurm.yaml"
    assert read_settings([], str(ready_made)) == SlurmSettings()
    text = ready_made.read_text()
    assert all(f"\n{key}:" in text for key in SlurmSettings.model_fields)


def test_words_take_precedence_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "gpu.yaml").write_text("partition: gpu\ntime: 4:00:00\nsetup: [module load cuda]\nextra: {gres: gpu:a}")
    settings = read_settings(["slurm.partition=large", "slurm.extra.mem-per-gpu=8G"], str(tmp_path / "gpu.yaml"))
    assert (settings.partition, settings.minutes, settings.setup) == ("large", 240, ["module load cuda"])
    assert settings.extra == {"gres": "gpu:a", "mem-per-gpu": "8G"}
    assert read_settings(["slurm.partition=null"], str(tmp_path / "gpu.yaml")).partition is None


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("slurm.prtition=gpu", "slurm.prtition: unknown key; did you mean slurm.partition?"),
        ("slurm.time=soon", "slurm.time=soon: must be a time, such as 90m, 4h, 1d12h or Slurm's 1-12:00:00"),
        ("slurm.time=0", "slurm.time=0: must be a time"),
        ("slurm.memory=8", "slurm.memory=8: must be a number with a unit, such as 8G or 500M"),
        ("slurm.gpus=-1", "slurm.gpus=-1: must be greater than or equal to 0"),
        ("slurm.cpus=many", "slurm.cpus=many: must be a whole number"),
        ("slurm.setup=module load", "slurm.setup=module load: must be a list"),
        ("slurm.time=[", "slurm.time=[: can't be read ("),
        ("slurm.cluster=pbs", "slurm.cluster=pbs: must be 'slurm' or 'local'"),
        ("slurm.warning_seconds=14400", "slurm.warning_seconds=14400: must be less than slurm.time=4h"),
        ("slurm.time", "slurm.time: must be written slurm.KEY=VALUE"),
        (f"slurm.time={'9' * 5000}", "slurm.time=999"),
        (f"slurm.time={'9' * 400}d", "slurm.time=999"),
        (f"slurm.memory={'9' * 400}.5G", "slurm.memory=999"),
        ("slurm.setup=&a [*a]", "slurm.setup=&a [*a]: can't be read (aliases"),
        ("slurm.setup={[a]: b}", "slurm.setup={[a]: b}: can't be read ("),
        ("slurm.setup.x=1", "slurm.setup="),
        ("slurm.=1", "slurm.: unknown key"),
        ("slurm.a.b.c=1", "slurm.a: unknown key"),
    ],
)
def test_what_cannot_be_read(word: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        read_settings([word])
    assert str(error.value).startswith(sentence)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for content, sentence in ((None, "can't be read ("), ("[", "can't be read ("), ("words", "must hold keys")):
        if content is not None:
            (tmp_path / "a.yaml").write_text(content)
        with pytest.raises(UserError, match=r"^--slurm=\S+a\.yaml: ") as error:
            read_settings([], str(tmp_path / "a.yaml"))
        assert sentence in str(error.value)
