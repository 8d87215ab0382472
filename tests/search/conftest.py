"""A search on a real database, since Optuna's storage in memory can't give trials back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_exp.search import trial, worker
from gan_exp.search.study import FILE, open_storage, quiet_optuna
from searches import Search, quick_compose


@pytest.fixture(autouse=True)
def quiet() -> None:
    quiet_optuna()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making its tables takes longer than a test."""
    place = tmp_path_factory.mktemp("empty")
    open_storage(place, None).engine.dispose()
    return place / FILE


@pytest.fixture
def search(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Search]:
    monkeypatch.setattr(worker, "POLL_S", 0.0)
    monkeypatch.setattr(trial, "compose", quick_compose)
    shutil.copy(empty_database, tmp_path / FILE)
    storage = open_storage(tmp_path, None)
    yield Search(tmp_path, storage)
    storage.engine.dispose()
