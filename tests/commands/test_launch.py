"""What Hydra hands over, and what is made of it."""

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from gan_exp.commands.launch import _current_job


@pytest.mark.parametrize(
    ("word", "own"), [("name=${model.name}", "name=mlp"), ("lr=${nothing}", "lr=${nothing}"), ("lr=0.1", "lr=0.1")]
)
def test_the_words_of_a_run_are_resolved_where_they_can_be(
    word: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = OmegaConf.create(
        {
            "model": {"name": "mlp"},
            "hydra": {
                "mode": RunMode.MULTIRUN,
                "runtime": {"output_dir": "swept/0"},
                "overrides": {"task": [word, "steps=1"]},
                "sweep": {"dir": "swept"},
                "job": {"num": 3},
                "launcher": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
            },
        }
    )
    monkeypatch.setattr(HydraConfig, "get", lambda: config.hydra)
    job = _current_job({"steps"})
    assert (job.name, job.overrides) == (f"run 3 ({own})", [own, "steps=1"])
    assert (job.sweep, job.directory, job.elsewhere) == ("swept", "swept/0", False)
