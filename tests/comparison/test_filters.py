from pathlib import Path

import pytest

from gan_exp.comparison.filters import is_filter, parse
from gan_exp.comparison.records import RunRecord, read_runs
from gan_exp.errors import UserError
from written_runs import write_run


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    scores = {300: {"fid_cnn": 4.0, "recall_cnn": 0.5}}
    write_run(tmp_path / "swept" / "0-lr=0.001", config={"lr": 1e-3, "seed": 1}, scores=scores)
    write_run(tmp_path / "swept" / "1", "model=dcgan", "lr=2e-4", scores={300: {"fid_cnn": 6.0, "fid_pixels": 2.0}})
    write_run(
        tmp_path / "2", "lr=2e-4", state="failed", reason="the disk is full", config={"model.generator.widths": [8, 16]}
    )
    (tmp_path / "swept" / "multirun.yaml").write_text("")
    return read_runs([tmp_path / "swept", tmp_path / "2"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("model.name=dcgan", "1"),
        ("model=dcgan", "1"),
        ("model!=dcgan", "02"),
        ("loss=non_saturating", "012"),
        ("lr=1e-3", "0"),
        ("lr==0.0010", "0"),
        ("lr<=2e-4", "12"),
        ("lr=1e-3,2e-4", "012"),
        ("state=failed,stale", "2"),
        ("state!=finished", "2"),
        ("fid_cnn<5", "0"),
        ("fid_cnn>=4", "01"),
        ("fid_cnn!=4", "12"),
        ("recall<0.6", "0"),
        ("fid_pixels<5", "1"),
        ("seconds>12", "01"),  # the third has failed
        ("seed=1", "0"),
        ("name=*lr=*", "0"),
        ("name=1", "1"),
        ("sweep=swept", "01"),
        ("sweep=null", "2"),
        ("doctor=healthy", "012"),
        ("reason=*disk*", "2"),
        ("penalty=r1", "012"),
        ("resize=null", "unknown"),
        ("dataset.resize=null", "012"),
        ("conditional=false", "012"),
        ("model.generator.widths=[8,16]", "2"),
        ("step>0", "012"),
        ("model<5", ""),
    ],
)
def test_which_runs_pass(word: str, expected: str, records: list[RunRecord]) -> None:
    assert is_filter(word)
    if expected == "unknown":
        with pytest.raises(UserError, match=r"resize: none of the runs has such .* did you mean dataset.resize"):
            parse(word, records)
        return
    found = parse(word, records)
    assert "".join(record.name[0] for record in records if found.accepts(record)) == expected


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("lrr=1", "lrr: none of the runs has such a setting or metric; did you mean lr?"),
        ("kid_cnn<1", "kid_cnn: none of the runs has such a setting or metric; did you mean fid_cnn?"),
        ("kid<1", "kid: no run has such a metric"),
        ("fid<1", "fid: of which features? the runs have fid_cnn and fid_pixels"),
        ("fid_cnn<low", "fid_cnn<low: < needs a number behind it, such as 'fid_cnn<5'"),
        ("lr=", "lr=: no value is given; write lr=VALUE"),
        ("state=crashed", "state=crashed: no such state; known are running, finished, failed"),
        ("state=finshed", "did you mean finished?"),
        ("nowhere", "nowhere: is no filter; write key=value"),
    ],
)
def test_refusals(word: str, sentence: str, records: list[RunRecord]) -> None:
    with pytest.raises(UserError) as caught:
        parse(word, records)
    assert sentence in str(caught.value)
