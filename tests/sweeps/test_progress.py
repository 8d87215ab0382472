"""What a sweep shows of its jobs while they train."""

from pathlib import Path

import pytest

from gan_exp.sweeps.job import Job
from gan_exp.sweeps.progress import best_of
from written_runs import write_run


@pytest.mark.parametrize(("metric", "best"), [("panel", (5.0, 2)), ("fid", (1.0, 4))])
def test_the_best_is_by_the_metric_that_the_run_has_chosen(metric: str, best: tuple[float, int], in_tmp: Path) -> None:
    """The job's own words may have left it to the run."""
    scores = {2: {"fid_cnn": 2.0, "panel": 5.0}, 4: {"fid_cnn": 1.0, "panel": 9.0}}
    run = write_run("run", config={"best_metric": metric, "evaluate_every_steps": 2}, scores=scores)
    found = best_of(Job({"evaluate_every_steps": 2, "best_metric": "auto"}, str(run.path)))
    assert found is not None and (found.score, found.step) == best
