from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage

from gan_exp.errors import UserError
from gan_exp.search.objective import parse_objectives
from gan_exp.search.space import parse_space
from gan_exp.search.study import FILE, Question, open_storage, open_study, read_record, words_of

WORDS = ("lr=log(1e-5,1e-2)", "steps=10", "model=choice(mlp,dcgan)")


def ask(*words: str, metric: str = "fid", seeds: int = 1) -> Question:
    return Question(parse_space(words or WORDS), parse_objectives(metric), seeds=seeds)


def test_the_same_question_joins_in_any_order() -> None:
    storage = InMemoryStorage()
    open_study(ask(), storage, "s", "here").add_trial(optuna.create_trial(value=1.0))
    assert len(open_study(ask(*reversed(WORDS)), storage, "s", "here").trials) == 1
    record = read_record(storage, "s", "here")
    assert record is not None and sorted(words_of(record)) == sorted(WORDS)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (ask("lr=log(1e-4,1e-2)", *WORDS[1:]), r"lr=log\(1e-5,1e-2\) .* there, lr=log\(1e-4,1e-2\)"),
        (ask(*WORDS[::2]), "constants steps=10 there, nothing here"),
        (ask(metric="kid"), "metric fid there, kid here"),
        (ask(metric="fid,seconds"), "metric fid there, fid,seconds here"),
        (ask(seeds=3), "seeds 1 there, 3 here"),
    ],
)
def test_another_question_is_refused(other: Question, difference: str) -> None:
    storage = InMemoryStorage()
    open_study(ask(), storage, "s", "here")
    with pytest.raises(UserError, match=f"here: holds another search .*{difference}.*choose another --dir"):
        open_study(other, storage, "s", "here")
    assert read_record(storage, "s", "here") == ask().record()


def test_a_study_that_somebody_else_made_is_refused() -> None:
    storage = InMemoryStorage()
    optuna.create_study(storage=storage, study_name="s").add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(UserError, match="holds a study that gan-exp search did not make"):
        open_study(ask(), storage, "s", "here")


def test_a_directory_with_odd_letters(tmp_path: Path) -> None:
    place = tmp_path / "a?b#c%20{d} é"
    place.mkdir()
    study = open_study(ask(), open_storage(place, None), "s", "here")
    study.ask()
    assert (place / FILE).exists() and len(open_study(ask(), open_storage(place, None), "s", "here").trials) == 1


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing of the kind " * 100)
    with pytest.raises(UserError, match=r"study.db: can't be used \(file is not a database\)"):
        open_storage(tmp_path, None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////nowhere/at/all/study.db", "unable to open database file"),
        ("postgresql://me:secret@localhost:1/db", "psycopg|refused"),
        ("nonsense", "Could not parse"),
        ("oracel://host/db", "oracel"),
    ],
)
def test_a_database_that_cannot_be_reached(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"--storage .*: can't be reached .*({reason})") as refused:
        open_storage(tmp_path, url)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)
