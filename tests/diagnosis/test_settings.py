"""A diagnosis reads the attributes of losses and penalties. Runs keep them, so that the doctor needs no torch."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from builders import make_config
from gan_exp.cli import main
from gan_exp.diagnosis import remedies
from gan_exp.diagnosis.settings import RunSettings, settings_of, traits_of


def settings(*words: str) -> RunSettings:
    return settings_of(make_config(*words).model_dump())


@pytest.mark.parametrize(
    ("loss", "unbounded", "wants_bounded_critic", "saturates", "relativistic"),
    [
        ("non_saturating", False, False, False, False),
        ("minimax", False, False, True, False),
        ("hinge", True, False, False, False),
        ("lsgan", True, False, False, False),
        ("wgan", True, True, False, False),
        ("rpgan", True, False, False, True),
    ],
)
def test_losses(loss: str, unbounded: bool, wants_bounded_critic: bool, saturates: bool, relativistic: bool) -> None:
    found = settings(f"loss={loss}")
    assert (found.unbounded_loss, found.wants_bounded_critic) == (unbounded, wants_bounded_critic)
    assert (found.saturates, found.relativistic) == (saturates, relativistic)


def test_bounds_of_the_discriminator() -> None:
    assert settings("loss=wgan").weight_bound == 0.01 and settings("loss=wgan").bounded
    assert settings("loss=wgan", "loss.clip=null").unbounded_critic
    assert settings("loss=wgan", "loss.clip=null", "spectral_norm=true").bounded


@pytest.mark.parametrize(
    ("penalty", "strength"),
    [("r1", ("gamma", 0.1)), ("r1_r2", ("gamma", 0.1)), ("wgan_gp", ("weight", 10.0)), ("dragan", ("weight", 10.0))],
)
def test_the_strength_of_a_penalty(penalty: str, strength: tuple[str, float]) -> None:
    assert settings(f"penalty={penalty}").strength == strength
    assert settings().strength is None


def test_a_run_that_stalls_at_a_constant_learning_rate_gets_a_schedule() -> None:
    assert remedies.stalled(settings())[0] == "schedule=cosine"
    assert "schedule=cosine" not in remedies.stalled(settings("schedule=linear"))


def test_sets_of_points_can_not_be_augmented() -> None:
    plain = make_config("dataset=ring", "model=points").model_dump()
    assert settings_of(plain).points and settings_of(plain, traits_of(plain, points=True)).points
    assert not settings_of(plain, traits_of(plain, points=False)).points
    assert not settings().points


def test_attributes_that_the_run_kept_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of a user's class, which `gan-exp doctor` does not import."""
    plain = make_config("loss=hinge", "penalty=r1").model_dump()
    plain["loss"]["_target_"] = "mine.Critic"
    plain["loss"]["limit"] = 0.5
    kept = json.loads(json.dumps(traits_of(plain, points=False)))
    assert "mine.Critic" not in kept
    assert settings_of(plain, kept) == settings_of(plain) and settings_of(plain).strength == ("gamma", 0.1)
    kept["mine.Critic"] = {"wants_bounded_critic": True, "weight_bound": "limit"}
    found = settings_of(plain, kept)
    assert (found.loss, found.weight_bound, found.wants_bounded_critic) == ("Critic", 0.5, True)


@pytest.mark.parametrize("kept", [None, [], 3, {}, {"gan_exp.losses.Minimax": 3}, {"gan_exp.losses.Hinge": {}}])
def test_runs_that_kept_none_or_others_ask_the_classes(kept: Any) -> None:
    assert settings_of(make_config("loss=minimax").model_dump(), kept).saturates


def test_a_user_s_class_is_known_by_its_attributes(in_tmp: Path) -> None:
    """From training to the doctor, without any trust in the latter."""
    Path("mine.py").write_text(
        "from gan_exp.losses import Wasserstein\n\nclass Critic(Wasserstein):\n"
        "    def __init__(self):\n        super().__init__(clip=None)\n"
    )
    words = ["loss._target_=mine.Critic", "~loss.label_smoothing", "steps=1", "display=quiet", "hydra.run.dir=run"]
    assert main(["train", *words, "--trust", "mine"]) == 0
    sys.modules.pop("mine")
    kept = json.loads(Path("run/environment.json").read_text())["traits"]
    assert kept["mine.Critic"]["wants_bounded_critic"] is True
    assert kept["gan_exp.data.digits.digits"] == {"points": False}
