import csv
import io
from pathlib import Path

import pytest

from gan_exp.comparison.listing import as_csv, count_states, list_records, plain_record, sort_records
from gan_exp.comparison.records import RunRecord, read_runs
from gan_exp.errors import UserError
from written_runs import write_run


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    words = {"steps": 300, "lr": 3e-3}
    for name, seed, fid in (("0", 0, 3.0), ("1", 1, 1.0), ("2", 2, 2.0)):
        write_run(tmp_path / name, config={**words, "seed": seed}, scores={300: {"fid_cnn": fid, "recall_cnn": fid}})
    write_run(
        tmp_path / "3", config={**words, "model.name": "mine", "batch_size": 32}, state="failed", reason="broke, badly"
    )
    return read_runs([tmp_path])


def test_what_all_share_stands_apart(records: list[RunRecord]) -> None:
    listing = list_records(records, None)
    assert listing.common == {"steps": 300, "lr": 3e-3} and listing.tags == ("fid_cnn",)
    assert [dict(one) for one in listing.settings] == [{}, {"seed": 1}, {"seed": 2}, {"model": "mine"}]
    alone = list_records(records[:1], ["recall", "loss/generator"])
    assert alone.common == {} and alone.settings == ({"steps": 300, "lr": 3e-3},)
    assert alone.tags == ("recall_cnn", "loss/generator")
    with pytest.raises(UserError, match="kid: no run has such a metric"):
        list_records(records, ["kid"])


@pytest.mark.parametrize(
    ("key", "expected"),
    [("fid_cnn", "1203"), ("fid", "1203"), ("recall", "0213"), ("seed", "0312"), ("state", "3012"), ("model", "3012")],
)
def test_sorted_with_the_best_first_and_the_unknown_last(key: str, expected: str, records: list[RunRecord]) -> None:
    assert "".join(record.name for record in sort_records(records, key, reverse=False)) == expected


def test_sorted_in_the_opposite_order(records: list[RunRecord]) -> None:
    assert "".join(record.name for record in sort_records(records, "fid", reverse=True)) == "0213"
    with pytest.raises(UserError, match="none of the runs has such a setting or metric"):
        sort_records(records, "sed", reverse=False)


def test_states_are_counted(records: list[RunRecord]) -> None:
    assert count_states(records) == "4 runs: 3 finished, 1 failed"
    assert count_states(records[:1]) == "1 run: 1 finished"


def test_csv(records: list[RunRecord]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(list_records(records, None)))))
    assert [row["state"] for row in rows] == ["finished"] * 3 + ["failed"]
    assert (rows[1]["seed"], rows[1]["lr"], rows[1]["fid_cnn"], rows[1]["steps"]) == ("1", "0.003", "1.0", "300")
    assert (rows[3]["reason"], rows[3]["model"], rows[3]["fid_cnn"]) == ("broke, badly", "mine", "")


def test_plain_values(records: list[RunRecord]) -> None:
    found = plain_record(records[1], {"seed": 1})
    assert (found["name"], found["state"], found["settings"]) == ("1", "finished", {"seed": 1})
    assert found["metrics"]["fid_cnn"] == 1.0 and found["configuration"]["lr"] == 3e-3
    assert found["doctor"][0]["name"] == "healthy"
