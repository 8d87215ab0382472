import shutil
from pathlib import Path

from gan_exp.runs.submissions import (
    FOLDER,
    RECORD,
    Submission,
    has_submissions,
    read_submissions,
    write_submissions,
    write_word,
)


def submission(number: int, job_id: str, place: Path) -> Submission:
    return Submission(job_id, number, f"seed={number}", str(place / f"run-{number}"), 10.0 + number)


def test_a_job_is_queued_until_it_says_otherwise(tmp_path: Path) -> None:
    assert read_submissions(tmp_path) == [] and not has_submissions(tmp_path)
    given = [submission(number, f"7_{number}", tmp_path) for number in range(3)]
    write_submissions(tmp_path, given)
    assert read_submissions(tmp_path) == given and has_submissions(tmp_path)
    write_word(tmp_path / FOLDER, "7_0", "running")
    write_word(tmp_path / FOLDER, "7_1", "requeued")
    write_word(tmp_path / FOLDER, "7_2", "ended", code=1, cause="NaN", can_go_on=False)
    found = read_submissions(tmp_path)
    assert [(one.state, one.waits) for one in found] == [("running", False), ("requeued", True), ("ended", False)]
    assert (found[2].code, found[2].cause, found[2].can_go_on) == (1, "NaN", False)


def test_the_last_submission_of_a_run_counts(tmp_path: Path) -> None:
    write_submissions(tmp_path, [submission(0, "7_0", tmp_path), submission(1, "7_1", tmp_path)])
    write_word(tmp_path / FOLDER, "7_1", "ended", code=1)
    write_submissions(tmp_path, [submission(1, "8", tmp_path)])
    assert [(one.job_id, one.state) for one in read_submissions(tmp_path)] == [("7_0", "queued"), ("8", "queued")]


def test_the_sweep_may_be_moved_and_damaged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_submissions(tmp_path / "a", [submission(0, "7", tmp_path / "a")])
    with (tmp_path / "a" / FOLDER / RECORD).open("a") as file:
        file.write('{"job_id": "8"}\n{"job_')
    (tmp_path / "a" / FOLDER / "7.json").write_text("{")
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert read_submissions(tmp_path / "b") == [submission(0, "7", tmp_path / "b")]
