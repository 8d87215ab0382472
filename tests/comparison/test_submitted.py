"""Jobs on a cluster stand in the table of runs before they have begun."""

from pathlib import Path

from gan_exp.comparison.records import read_runs
from gan_exp.comparison.submitted import with_submitted
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.submissions import FOLDER, Submission, write_submissions, write_word


def submission(number: int) -> Submission:
    config = {"steps": 100, "seed": number, "model": {"name": "mlp"}}
    return Submission(f"7_{number}", number, f"seed={number}", f"swept/{number}", 0.0, config=config)


def test_waiting_failed_and_requeued(in_tmp: Path) -> None:
    place = Path("swept")
    write_submissions(place, [submission(number) for number in range(5)])
    (place / "multirun.yaml").touch()
    for number, state in ((2, "interrupted"), (3, "interrupted"), (4, "finished")):
        run = RunDir.create(place / str(number), dict(submission(number).config), {})
        run.write_status(state, 50)
        write_word(place / FOLDER, f"7_{number}", "ended" if number == 2 else "requeued", code=130)
    write_word(place / FOLDER, "7_1", "ended", code=2, cause="lr=-1: must be greater than 0")
    found = with_submitted(read_runs([Path()]), [Path()])
    assert {record.name: record.state for record in found} == {
        "0": "waiting", "1": "failed", "2": "stopped", "3": "waiting", "4": "finished",
    }  # fmt: skip
    first = next(record for record in found if record.name == "0")
    assert (first.path, first.steps, first.seed, first.verdict, first.sweep) == (Path("swept/0"), 100, 0, "", place)
    assert next(record.reason for record in found if record.name == "1") == "lr=-1: must be greater than 0"
    assert [record.name for record in with_submitted([], [place / "0", place])] == ["0", "1", "2", "3", "4"]


def test_a_single_run_that_waits(in_tmp: Path) -> None:
    write_submissions(Path("runs/one"), [Submission("8", 0, "", "runs/one", 0.0)])
    (record,) = with_submitted([], [Path("runs")])
    assert (record.path, record.state) == (Path("runs/one"), "waiting")
