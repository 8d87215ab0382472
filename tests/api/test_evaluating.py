"""Evaluating from Python gives the scores that are kept with the run."""

from pathlib import Path

import pytest

import gan_exp


def test_scores_of_a_run_and_of_several(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = gan_exp.load(run)
    found = gan_exp.evaluate(loaded, metrics=["manifolds"], features="pixels", count=60, seeds=2)
    assert "seed 2 of 2 measured" in capsys.readouterr().out
    recall = found.scores["recall_pixels"]
    assert found.step == 4 and recall.n == 2 and recall.mean is not None and recall.data is not None
    assert found.protocol.samples == 60 and found == loaded.evaluations[-1]
    earlier = gan_exp.load(run, checkpoint=2)
    several = gan_exp.evaluate([run, earlier], metrics=["manifolds"], features="pixels", count=60, seeds=1, quiet=True)
    assert [one.step for one in several] == [4, 2] and capsys.readouterr().out == ""


def test_bad_input(run: Path) -> None:
    for arguments, sentence in (
        ({"metrics": ["nope"]}, "metrics: nope: no such metric; "),
        ({"metrics": "fid"}, "metrics='fid': must be a list of strings"),
        ({"count": 0}, "count=0: must be at least 1"),
        ({"seeds": 0}, "seeds=0: must be at least 1"),
        ({"features": "resnet"}, "features='resnet': must be None, 'cnn', 'ssl', 'inception', 'random' or 'pixels'"),
        ({"split": "test"}, "split='test': must be 'train' or 'held_out'"),
        ({"split": "held_out", "features": "pixels"}, "split=held_out: this run trained on all of its images"),
    ):
        with pytest.raises(gan_exp.UserError) as refused:
            gan_exp.evaluate(run, quiet=True, **arguments)  # type: ignore[call-overload]
        assert str(refused.value).startswith(sentence), sentence
    with pytest.raises(gan_exp.UserError, match=r"^average=False: the averaged generator is measured"):
        gan_exp.evaluate(gan_exp.load(run, average=False), quiet=True)
