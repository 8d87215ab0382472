import pytest

from gan_exp.errors import UserError
from gan_exp.play.questions import File, Question, read


def test_a_question_is_read() -> None:
    body = b'{"start": {"seed": 3, "truncation": 1, "shifts": [0, 1.5], "label": 2}, "end": {"latent": [1]}, "at": 0.5}'
    found = read(Question, body)
    assert (found.start.seed, found.start.truncation, found.start.shifts, found.start.label) == (3, 1.0, [0, 1.5], 2)
    assert found.end is not None and found.end.latent == [1.0] and found.at == 0.5
    assert read(Question, b'{"start": {"seed": 0}}') == Question.model_validate({"start": {"seed": 0}})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the question: Invalid JSON"),
        (b"\xff\x00", "the question: Invalid JSON"),
        (b"[" * 100_000, "the question: Invalid JSON"),
        (b"[]", "the question: Input should be an object"),
        (b"{}", "start: Field required"),
        (b'{"start": {}}', "start: Value error, give either seed or latent"),
        (b'{"start": {"seed": 1, "latent": [1]}}', "start: Value error, give either seed or latent"),
        (b'{"start": {"seed": -1}}', "start.seed: Input should be greater than or equal to 0"),
        (b'{"start": {"seed": 9007199254740992}}', "start.seed: Input should be less than"),
        (b'{"start": {"seed": "1"}}', "start.seed: Input should be a valid integer"),
        (b'{"start": {"seed": 1, "truncation": 0}}', "start.truncation: Input should be greater"),
        (b'{"start": {"seed": 1, "shifts": [21]}}', "start.shifts.0: Input should be less than or equal to 20"),
        (b'{"start": {"seed": 1, "label": -1}}', "start.label: Input should be greater than or equal to 0"),
        (b'{"start": {"latent": [NaN]}}', "start.latent.0: Input should be a finite number"),
        (b'{"start": {"latent": [1e999]}}', "start.latent.0: Input should be a finite number"),
        (b'{"start": {"seed": 1}, "at": 2}', "at: Input should be less than or equal to 1"),
        (b'{"start": {"seed": 1}, "path": "/etc"}', "path: Extra inputs are not permitted"),
    ],
)
def test_a_fault_is_named(body: bytes, sentence: str) -> None:
    with pytest.raises(UserError) as found:
        read(Question, body)
    assert str(found.value).startswith(sentence) and "\n" not in str(found.value)


def test_a_file_comes_as_base64() -> None:
    assert read(File, b'{"content": "aGVsbG8="}').content == b"hello"
    with pytest.raises(UserError, match="content: "):
        read(File, b'{"content": "a"}')
