import pytest

from builders import plain_config
from gan_exp.comparison.defaults import changed_settings
from gan_exp.config.catalog import groups
from gan_exp.config.overrides import leaves

G = "optimizer.generator"


def changed(*words: str) -> dict[str, object]:
    return changed_settings(leaves(plain_config(*words).model_dump(mode="json")))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("lr=2e-4", "steps=300", "seed=2"), {"lr": 2e-4, "steps": 300, "seed": 2}),
        (("name=mine", "log_every_steps=7", "device.threads=1"), {}),
        (("model=dcgan",), {"model": "dcgan"}),
        (("model=dcgan", "model.generator.width=8"), {"model": "dcgan", "model.generator.width": 8}),
        (("optimizer=sgd", "optimizer.generator.momentum=0.5"), {"optimizer": "sgd", f"{G}.momentum": 0.5}),
        (("optimizer.discriminator.lr=5e-3",), {"optimizer.discriminator.lr": 5e-3}),
        (("model=dcgan", "lr=1e-3"), {"model": "dcgan", "lr": 1e-3}),
        (("loss=hinge", "penalty=r1", "penalty.gamma=3"), {"loss": "hinge", "penalty.gamma": 3}),
        (("schedule=linear", "schedule.lr.final=0.5"), {"schedule.lr": "Linear", "schedule.lr.final": 0.5}),
        (
            ("schedule=augment_ramp", "augment=diffaugment"),
            {"schedule.augment": "Cosine", "schedule.lr": "Constant", "augment": "diffaugment"},
        ),
        (("dataset=ring", "model=points"), {"dataset": "ring", "model": "points"}),
        (("dataset.held_out=0.1",), {"dataset.held_out": 0.1}),
    ],
)  # fmt: skip
def test_what_is_not_the_default(words: tuple[str, ...], expected: dict[str, object]) -> None:
    assert changed(*words) == expected


@pytest.mark.parametrize(
    ("group", "option"),
    [(group, option) for group in ("penalty", "optimizer", "model") for option in groups()[group]],
)
def test_of_an_option_only_the_choice_is_changed(group: str, option: str) -> None:
    dataset = ("dataset=ring",) if (group, option) == ("model", "points") else ()
    assert set(changed(f"{group}={option}", *dataset)) <= {group, "dataset"}
