"""`gan-exp report`: where the page goes, what it is about, and the sentences for bad input."""

from pathlib import Path

import pytest

from builders import refused
from gan_exp.cli import main
from gan_exp.runs.submissions import FOLDER, Submission, write_submissions, write_word
from made_up_runs import write_run, write_sweep


def written(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says."""
    capsys.readouterr()
    assert main(["report", *words]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_of_a_run_in_its_own_directory(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("runs/one"), "steps=100")
    assert "report on 1 run, 0.1 MB: runs/one/report.html\n" in written(capsys, "runs/one")
    assert "<h1>one</h1>" in Path("runs/one/report.html").read_text()
    written(capsys, "runs/one")  # a page of ours may be replaced


def test_of_a_sweep(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(Path("outputs/2026-01-02/12-00-00-sweep"), seeds=2)
    assert "report on 8 runs" in written(capsys, "12-00-00-sweep")
    page = Path("outputs/2026-01-02/12-00-00-sweep/report.html").read_text()
    assert "8 runs in 4 groups of equal settings: 8 finished. Varied: model mlp, dcgan; lr 0.0001, 0.0002" in page
    assert "gan-exp train -m lr=1e-4,2e-4 model=mlp,dcgan &#39;seed=range(0,2)&#39;" in page


def test_of_a_directory_and_of_several_places(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/1", "a/2", "b"):
        write_run(Path(name), "steps=100")
    assert "report on 2 runs" in written(capsys, "a") and Path("a/report.html").exists()
    assert (
        "report on 3 runs" in written(capsys, "a", "b", "a/1") and "<h1>a, b, 1</h1>" in Path("report.html").read_text()
    )
    written(capsys, "a", "-o", "page.html")
    assert "<h1>a</h1>" in Path("page.html").read_text()


def test_a_file_that_is_no_report_is_kept(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("run"), "steps=100")
    Path("notes.html").write_text("my notes")
    message = refused(["report", "run", "-o", "notes.html"], capsys)
    assert "notes.html: exists and is no report; name another file with -o, or replace it with --force" in message
    assert Path("notes.html").read_text() == "my notes"
    written(capsys, "run", "-o", "notes.html", "--force")
    assert "<h1>run</h1>" in Path("notes.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "none: is not the directory of a run, nor the name of one under outputs/ here"),
        (["empty"], "empty: there are no runs in this folder"),
        (["run", "-o", "nowhere/page.html"], "nowhere/page.html: there is no directory nowhere; make it first"),
        (["run", "-o", "empty"], "empty: is a directory; name a file, such as -o empty/report.html"),
        ([], "report: which run? `latest`, its directory, or its short name"),
        (["damaged"], "damaged: there are no runs in this folder"),
        (["run", "--out", "x"], "did you mean --output?"),
        ([".", "--by", "fdi"], "fdi: no run has such a metric"),
    ],
)
def test_bad_input(in_tmp: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    Path("empty").mkdir()
    write_run(Path("run"), "steps=100")
    write_run(Path("damaged"), "steps=100").config.write_text("a: [")
    assert message in refused(["report", *words], capsys)


def test_a_place_that_can_t_be_written(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("run"), "steps=100")
    assert "name another file with -o" in refused(["report", "run", "-o", f"{'x' * 300}.html"], capsys)


def test_a_run_that_has_barely_begun_and_one_whose_files_are_damaged(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = write_run(Path("bare"), "steps=100")
    for path in (bare.status, bare.metrics, bare.environment, bare.log):
        path.unlink()
    odd = write_run(Path("odd"), "steps=100", grids=[0])
    odd.sample_grid(0).write_bytes(b"no picture")
    odd.metrics.write_text('{"step": 1, "loss/generator": 1}\n[]\n7\n{"step": "x"}\n{"st')
    odd.status.write_text("[1]")
    odd.environment.write_text('{"command": 3, "packages": [], "git": "x"}')
    (odd.checkpoints / "step-00000001-cnn.evaluation.json").write_text('{"metrics": {}}')
    written(capsys, "bare"), written(capsys, "odd"), written(capsys, ".")
    assert "1 grid can&#39;t be read" in Path("odd/report.html").read_text()


def test_jobs_that_wait_on_a_cluster(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside runs that have begun; such a job has no directory yet."""
    config = {"steps": 100, "seed": 1, "model": {"name": "mlp"}}
    jobs = [Submission(f"7_{n}", n, f"seed={n}", f"swept/{n}", 0.0, config=config) for n in (0, 1)]
    write_run(Path("swept/2"), "steps=100", grids=[0])
    write_submissions(Path("swept"), jobs)
    write_word(Path("swept") / FOLDER, "7_1", "ended", code=2, cause="lr=-1: must be greater than 0")
    assert "report on 3 runs" in written(capsys, "swept")
    page = Path("swept/report.html").read_text()
    assert "1 waiting" in page and "<p>lr=-1: must be greater than 0</p>" in page
    written(capsys, "swept", "-o", "swept/report.html")
    (in_tmp / "alone").mkdir()
    write_submissions(Path("alone"), [Submission("8", 0, "", "alone/one", 0.0)])
    assert "report on 1 run" in written(capsys, "alone")
