import base64
import io
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_exp.data.packed import to_uint8
from gan_exp.errors import UserError
from gan_exp.generators.directions import principal_directions
from gan_exp.generators.paths import slerp
from gan_exp.play.answers import Answers
from gan_exp.play.questions import Question
from tiny_generators import tiny_generator


def ask(start: dict[str, Any], end: dict[str, Any] | None = None, at: float = 0.0) -> Question:
    return Question.model_validate({"start": start, "end": end, "at": at})


def pixels(png: bytes) -> Tensor:
    return torch.from_numpy(np.array(Image.open(io.BytesIO(png))))


def answers(conditional: bool = False, load: Callable[[], Any] = lambda: None) -> Answers:
    """With three directions."""
    found = Answers(tiny_generator(conditional), load)
    found.find_directions(3)
    return found


@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet", "r3gan"])
@pytest.mark.parametrize("conditional", [False, True])
def test_the_image_of_a_seed_is_that_of_sample(model: str, conditional: bool) -> None:
    generator = tiny_generator(conditional, model, channels=3)
    labels = torch.tensor([2]) if conditional else None
    expected = to_uint8(generator.images(generator.latents(5, [0]), labels))[0].permute(1, 2, 0)
    asked = Answers(generator, lambda: None)  # type: ignore[arg-type,return-value]
    found = pixels(asked.image(ask({"seed": 5, "label": 2 if conditional else None})))
    assert found.shape == (8, 8, 3) and (found.int() - expected.int()).abs().max() <= 1
    assert found.float().std() > 5


def test_a_latent_is_truncated_and_then_shifted() -> None:
    generator = tiny_generator()
    expected = generator.truncate(generator.latents(5, [0]), 0.5)[0]
    expected += 1.5 * principal_directions(generator, 3)[0][1]
    found = answers().latent(ask({"seed": 5, "truncation": 0.5, "shifts": [0, 1.5]}))
    assert torch.allclose(torch.tensor(found["latent"]), expected, atol=1e-3) and found["label"] is None
    again = answers().latent(ask({"latent": found["latent"]}))
    assert again == found


def test_between_two_latents_and_two_classes() -> None:
    generator, start, end = tiny_generator(True), {"seed": 1, "label": 0}, {"seed": 2, "label": 1}
    asked = answers(True)
    latents = [generator.latents(seed, [0])[0] for seed in (1, 2)]
    for at, label in ((0.25, 0), (0.75, 1)):
        found = asked.latent(ask(start, end, at))
        assert torch.allclose(torch.tensor(found["latent"]), slerp(*latents, torch.tensor(at)))
        assert found["label"] == label
    ends = [asked.image(ask(one)) for one in (start, end)]
    assert [asked.image(ask(start, end, at)) for at in (0.0, 1.0)] == ends
    same = torch.tensor(asked.latent(ask(start, end, 0.5))["latent"]).tolist()
    between = [asked.image(ask({"latent": same, "label": label})) for label in (0, 1)]
    assert asked.image(ask(start, end, 0.5)) not in between  # the classes are mixed


@pytest.mark.parametrize(
    ("conditional", "question", "sentence"),
    [
        (False, ask({"latent": [0.0] * 7}), "start.latent: has 7 numbers, and the generator takes 8"),
        (False, ask({"seed": 1}, {"latent": []}), "end.latent: has 0 numbers, and the generator takes 8"),
        (False, ask({"seed": 1, "shifts": [0.0] * 4}), "start.shifts: there are 3 directions"),
        (False, ask({"seed": 1, "label": 0}), "start.label: the generator is not conditional"),
        (True, ask({"seed": 1}), "start.label: must be the number of one of the 3 classes, from 0"),
        (True, ask({"seed": 1, "label": 3}), "start.label: must be the number of one of the 3 classes, from 0"),
    ],
)
def test_what_the_generator_does_not_take(conditional: bool, question: Question, sentence: str) -> None:
    for answer in (answers(conditional).image, answers(conditional).latent):
        with pytest.raises(UserError) as found:
            answer(question)
        assert str(found.value) == sentence


def test_neighbours_are_loaded_once() -> None:
    loaded = []
    image = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)

    def load() -> Callable[[Tensor], Any]:
        loaded.append(1)
        return lambda sample: SimpleNamespace(image=image, sentence=f"{sample.shape}")

    asked = answers(load=load)
    for _ in range(2):
        found = asked.nearest(ask({"seed": 1}))
        header, _, content = found["image"].partition(",")
        assert header == "data:image/png;base64" and found["sentence"] == "torch.Size([1, 8, 8])"
        assert torch.equal(pixels(base64.b64decode(content)), image[0])
    assert loaded == [1]


def test_without_the_data_there_is_a_sentence() -> None:
    def load() -> Any:
        raise UserError("dataset.root=here: there is nothing")

    found = answers(load=load).nearest(ask({"seed": 1}))
    assert found == {"image": None, "sentence": "dataset.root=here: there is nothing"}


def test_one_question_at_a_time_goes_through_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = tiny_generator()
    inside: list[int] = []
    together: list[int] = []
    forward = generator.network.forward

    def watched(latents: Tensor) -> Tensor:
        inside.append(1)
        together.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()
        return forward(latents)  # type: ignore[no-any-return]

    monkeypatch.setattr(generator.network, "forward", watched)
    asked = Answers(generator, lambda: None)  # type: ignore[arg-type,return-value]
    threads = [threading.Thread(target=asked.image, args=[ask({"seed": seed})]) for seed in range(5)]
    threads.append(threading.Thread(target=asked.find_directions, args=[3]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(together) == {1} and asked.directions() == {"count": 3}


def test_images_are_made_while_directions_are_looked_for() -> None:
    """What needs them waits; a fault of the network is what the questions end with."""
    asked = Answers(tiny_generator(), lambda: None)  # type: ignore[arg-type,return-value]
    shifted: list[bytes] = []
    waiting = threading.Thread(target=lambda: shifted.append(asked.image(ask({"seed": 1, "shifts": [2]}))))
    waiting.start()
    plain = asked.image(ask({"seed": 1}))
    assert shifted == []
    asked.find_directions(3)
    waiting.join()
    assert shifted[0] != plain

    failing = Answers(tiny_generator(), lambda: None)  # type: ignore[arg-type,return-value]
    failing.find_directions("many")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        failing.directions()
