"""The study of a search: Optuna's record of it in a database, and the refusal of one that asks something else."""

import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from gan_exp.errors import UserError
from gan_exp.search.objective import Checkpoint, Objective
from gan_exp.search.space import Space

FILE = "study.db"  # in the search's directory, where no --storage is given
NAME = "search"  # of its study
RECORD = "gan_exp"  # the attribute that says what the search asks
COUNT = "gan_exp_trials"  # the attribute that says how many there shall be
BUSY_S = 60.0  # how long one process waits for another one's write
CONNECT_S = 15  # how long a database may take to answer
ERRORS = (SQLAlchemyError, OptunaError, sqlite3.Error)  # of a database


@dataclass(frozen=True)
class Question:
    """What a search asks. Another process may join it only with the same."""

    space: Space
    objectives: tuple[Objective, ...]
    checkpoint: Checkpoint = "last"
    seeds: int = 1

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        return [objective.direction for objective in self.objectives]

    def record(self) -> dict[str, Any]:
        return {
            "searched": {parameter.key: parameter.text for parameter in self.space.parameters},
            "constants": sorted(self.space.constants),
            "metric": ",".join(objective.metric for objective in self.objectives),
            "checkpoint": self.checkpoint,
            "seeds": self.seeds,
        }


def words_of(record: Mapping[str, Any]) -> list[str]:
    """The words that began the search."""
    return [*record["constants"], *(f"{key}={text}" for key, text in record["searched"].items())]


def quiet_optuna() -> None:
    """Its log would repeat ours, and it warns that much of it may change."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    warnings.filterwarnings("ignore", module="optuna")


def open_storage(directory: Path, url: str | None) -> RDBStorage:
    """SQLite in the search's directory, or the database at `url`. Raises UserError if it can't be reached."""
    with _explained(directory, url):
        if url is None:
            return _sqlite(directory)
        return _retried(lambda: RDBStorage(url, engine_kwargs=_patience(url)))


def _sqlite(directory: Path) -> RDBStorage:
    path = directory / FILE

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")  # readers don't wait for a writer
        # A power cut may undo the last writes, and then a trial is read again from its run, which is on the disk.
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    # The path is not in the URL: it may hold signs that mean something there.
    with FileLock(directory / f".{FILE}.lock"):  # two processes would both create the tables
        return RDBStorage(f"sqlite:///{FILE}", engine_kwargs={"creator": connect})


def _patience(url: str) -> dict[str, Any]:
    found = make_url(url)
    if found.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_S}}
    limit = {"connect_timeout": CONNECT_S} if found.get_driver_name() in DRIVERS else {}
    return {"pool_pre_ping": True, "connect_args": limit}


DRIVERS = ("psycopg2", "psycopg", "pymysql", "mysqldb")


def _retried(make: Callable[[], RDBStorage]) -> RDBStorage:
    """Once more, where another process has created the tables meanwhile."""
    try:
        return make()
    except (sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.IntegrityError):
        return make()


@contextmanager
def _explained(directory: Path, url: str | None) -> Iterator[None]:
    """Errors of the database as one sentence, without the password in `url`."""
    try:
        yield
    except (*ERRORS, ImportError, ValueError, RuntimeError, OSError) as error:
        reason = _reason(error)
        if url is None:
            raise UserError(
                f"{directory / FILE}: can't be used ({reason}); repair it, or choose another --dir"
            ) from error
        raise UserError(
            f"--storage {without_password(url)}: can't be reached ({reason}); check the URL, that the server runs, and "
            "that its driver is installed"
        ) from error


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, ImportError) and error.__cause__ is not None else error
    origin = getattr(cause, "orig", None) or cause
    return " ".join(str(origin).split()).split(" (Background on")[0][:300] or type(origin).__name__


def without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return url.rpartition("@")[2]


def open_study(question: Question, storage: BaseStorage, name: str, place: str) -> optuna.Study:
    """The study called `name`, new or begun with the same question; `place` is what the user calls it.

    Raises UserError if it is another search's.
    """
    with _database_explained(place):
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=question.directions,
            load_if_exists=True,
        )
        if RECORD not in study.user_attrs and not study.get_trials(deepcopy=False):
            study.set_user_attr(RECORD, question.record())
            study.set_metric_names([objective.metric for objective in question.objectives])
        _refuse_another(question.record(), study.user_attrs.get(RECORD), place)
        return study


def read_record(storage: BaseStorage, name: str, place: str) -> dict[str, Any] | None:
    """What the search in `storage` asks; None if there is none."""
    with _database_explained(place):
        if name not in optuna.get_all_study_names(storage):
            return None
        record = optuna.load_study(study_name=name, storage=storage).user_attrs.get(RECORD)
    return dict(record) if record is not None else None


@contextmanager
def _database_explained(place: str) -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        raise UserError(f"{place}: its database can't be used ({_reason(error)})") from error


def _refuse_another(asked: Mapping[str, Any], found: Mapping[str, Any] | None, place: str) -> None:
    elsewhere = "choose another --dir, or another --study in the same database"
    if found is None:
        raise UserError(f"{place}: holds a study that gan-exp search did not make; {elsewhere}")
    differing = [
        f"{key} {_shown(found.get(key))} there, {_shown(value)} here"
        for key, value in asked.items()
        if found.get(key) != value
    ]
    if differing:
        raise UserError(f"{place}: holds another search ({'; '.join(differing)}); {elsewhere}")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={text}" for key, text in value.items()) or "nothing"
    return (" ".join(map(str, value)) or "nothing") if isinstance(value, list) else str(value)
