"""`gan-exp doctor`: what a new user reads of a finished, failed, running, old or barely begun run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builders import refused
from gan_exp.cli import main
from gan_exp.commands.doctor import with_override
from gan_exp.diagnosis.examination import examine
from gan_exp.runs.run_dir import RunDir
from stories import Value, story
from written_runs import write_run


def write(run: Path, records: Any = (), **status: Any) -> None:
    """As if the run had left these."""
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (run / "status.json").write_text(json.dumps({"state": "finished", "step": 900, "reason": None, **status}))


def ask(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["doctor", "run"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_a_run_that_has_barely_begun(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ask(capsys)
    assert f"{run.resolve()}: finished at step 4; looked at 4 logged means, 3 grids and 0 evaluations" in output
    assert "too early to say" in output


def test_a_healthy_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run, story())
    output = ask(capsys)
    assert "healthy since step 500" in output and "meaning" in output
    assert "evidence  D is right on 70% of the reals and 70% of the fakes; samples are 90% as varied as" in output
    assert "try" not in output and "anew" not in output


def test_a_run_in_trouble(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What to try is a command that would run: the run's own words, with the override in the place of its like."""
    write(run, story(12, samples__duplicates=0.9, discriminator__overfitting=0.9), state="running")
    environment = json.loads((run / "environment.json").read_text())
    words = ["loss=minimax", "loss.label_smoothing=0.1", "model.generator.widths=[8]", "hydra.run.dir=a b"]
    (run / "environment.json").write_text(json.dumps({**environment, "command": words}))
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("NonSaturating", "Minimax"))
    output = ask(capsys)
    assert "running at step 900" in output
    assert output.index("generator collapse since step 300") < output.index("memorising since step 100")
    assert "to try    loss=non_saturating" in output and "or        loss=rpgan penalty=r1_r2" in output
    command = "gan-exp train 'model.generator.widths=[8]' loss=non_saturating\n"
    assert output.endswith(f"to train anew with the first override: {command}")


def test_the_words_that_a_run_was_trained_with_are_kept(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["steps=2", "batch_size=7", "model.generator.widths=[8]", "device=cpu"]
    assert main(["train", *words, "display=quiet", "hydra.run.dir=run"]) == 0
    write(in_tmp / "run", story(12, samples__duplicates=0.9))
    assert f"gan-exp train {words[0]} {words[1]} 'model.generator.widths=[8]' device=cpu loss=rpgan" in ask(capsys)


def test_a_run_that_diverged(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one of an older version, which wrote no more than the sentence."""
    reason = "step 37: loss/generator is nan: the game has diverged (last good checkpoint: step 0). Likely cause: x"
    write(run, list(story(2)), state="failed", step=50, reason=reason)
    output = ask(capsys)
    assert "failed at step 50" in output and "diverged since step 37" in output
    assert "evidence  loss/generator is nan" in output and "to try    lr=0.00025" in output


def test_another_failed_run_gets_the_verdict_of_its_records(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run, story(), state="failed", reason="the disk is full")
    assert "healthy since step 500" in ask(capsys)


def test_a_run_of_an_older_version(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run, [record for record in story() if "loss/generator" in record])
    output = ask(capsys)
    assert (
        "9 logged means, 0 grids" in output
        and "no verdict is possible: the version" in output
        and "healthy" not in output
    )


def test_evaluations_beside_the_checkpoints_count(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run, story())
    report = {"step": 900, "metrics": {"nearer_cnn": {"mean": 0.7, "sd": 0.1, "values": [0.7]}}}
    (run / "checkpoints/step-00000900-cnn.evaluation.json").write_text(json.dumps(report))
    (run / "checkpoints/step-00000800-cnn.evaluation.json").write_text('{"metrics": 3}')  # something else
    output = ask(capsys)
    assert (
        "1 evaluation\n" in output
        and "memorising since step 900" in output
        and "70% of the samples are nearer" in output
    )
    few = {**report, "protocol": {"held_out": 4}}  # of which the nearest is chance
    (run / "checkpoints/step-00000900-cnn.evaluation.json").write_text(json.dumps(few))
    assert "healthy since step 500" in ask(capsys)


@pytest.mark.parametrize(
    ("metrics", "status", "environment"),
    [(None, None, None), ("", "", ""), ('{"step": 1, "loss', "{", "[]"), ("[1]\n3\n", "3", '{"command": 3}')],
)
def test_files_that_are_gone_or_odd(
    run: Path, metrics: str | None, status: str | None, environment: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("metrics.jsonl", metrics), ("status.json", status), ("environment.json", environment)):
        (run / name).unlink()
        if text is not None:
            (run / name).write_text(text)
    assert "no status" in ask(capsys)


def test_a_line_for_each_run_of_a_sweep(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the verdicts that each gets by itself."""
    for number, changes in enumerate(({}, {"samples__duplicates": 0.9, "discriminator__overfitting": 0.9})):
        run = write_run(f"swept/{number}-seed={number}", config={"seed": number}).path
        write(run, story(12, **changes))
    write_run("swept/2-seed=2", state=None)
    Path("swept/multirun.yaml").touch()
    assert main(["doctor", "swept"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run         state     verdict                                         to try",
        "swept  (sweep; 3 runs: 2 finished, 1 unknown)",
        "  0-seed=0  finished  healthy since step 500",
        "  1-seed=1  finished  generator collapse since step 300 (and 1 more)  loss=rpgan penalty=r1_r2",
        "  2-seed=2  unknown   too early to say",
        "",
        "3 runs: 2 finished, 1 unknown; the evidence and more to try: gan-exp doctor swept/0-seed=0",
    ]
    assert main(["doctor", "swept/1-seed=1", "swept/0-seed=0"]) == 0
    assert "2 runs: 2 finished" in capsys.readouterr().out


def test_it_is_quick(run: Path) -> None:
    """Without torch, which takes seconds to import."""
    write(run, story())
    program = "import sys; from gan_exp.cli import main; main(['doctor', 'run']); print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "healthy since" in output and output.endswith("False\n")


def test_no_run(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "latest: there is no run" in refused(["doctor", "latest"], capsys)
    assert "--deep: unknown option" in refused(["doctor", "latest", "--deep"], capsys)


@pytest.mark.parametrize(
    ("words", "remedy", "expected"),
    [
        ([], "lr=1e-4", ["lr=1e-4"]),
        (["lr=1", "lr_x=2"], "lr=1e-4", ["lr_x=2", "lr=1e-4"]),
        (["loss=wgan", "loss.clip=null", "penalty=r1"], "loss=rpgan penalty=r1_r2", ["loss=rpgan", "penalty=r1_r2"]),
        (["penalty.gamma=1", "pac=2"], "penalty.gamma=10", ["pac=2", "penalty.gamma=10"]),
    ],
)
def test_an_override_takes_the_place_of_its_like(words: list[str], remedy: str, expected: list[str]) -> None:
    assert with_override(words, remedy) == expected


@pytest.mark.parametrize("changes", [{}, {"samples__duplicates": 0.9}])
def test_the_verdict_is_the_one_of_training(run: Path, changes: dict[str, Value]) -> None:
    write(run, story(12, **changes))
    records, verdicts = examine(RunDir(run))
    assert len(records) == 23 and verdicts[0].name == ("generator collapse" if changes else "healthy")
