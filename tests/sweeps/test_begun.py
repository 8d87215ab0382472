"""The runs that a sweep goes on with."""

import os
from pathlib import Path

from builders import make_config
from gan_exp.runs.run_dir import RunDir
from gan_exp.sweeps.begun import going_on, read_runs
from gan_exp.sweeps.job import Job


def test_a_relative_root_is_the_one_that_the_run_keeps_in_full(in_tmp: Path) -> None:
    """A run whose directory has another name is found by what it trains."""
    words = ("dataset=folder", "dataset.root=images")
    plain = make_config(*words).model_dump(mode="json")
    kept = {**plain, "dataset": {**plain["dataset"], "root": os.path.abspath("images")}}  # noqa: PTH100
    RunDir.create("sweep/renamed", kept, {})
    for root, found in (("images", True), ("others", False)):
        config = {**plain, "dataset": {**plain["dataset"], "root": root}}
        job = going_on(Job(config, "sweep/0", words=words), read_runs(Path("sweep")))
        assert job.directory == ("sweep/renamed" if found else "sweep/0")
