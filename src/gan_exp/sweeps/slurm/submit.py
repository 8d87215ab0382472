"""Hands jobs to Slurm through submitit, as job arrays."""

import shutil
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from gan_exp.errors import UserError
from gan_exp.runs.submissions import FOLDER, Submission, write_submissions
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.slurm.code_state import code_state
from gan_exp.sweeps.slurm.settings import SlurmSettings
from gan_exp.sweeps.slurm.submitted_job import SubmittedJob

ARRAY = 1000  # jobs; Slurm's MaxArraySize is 1001 unless configured otherwise


def refuse_without_cluster(settings: SlurmSettings) -> None:
    """Raises UserError if submitit is not installed, or there is no Slurm here."""
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise UserError("--slurm: needs the package submitit; pip install 'gan-exp[slurm]'") from None
    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if settings.cluster == "slurm" and missing:
        raise UserError(
            f"--slurm: there is no Slurm on this machine ({missing[0]} is not found); submit on the cluster's login "
            f"node, or leave --slurm out to train here"
        )


def submit(jobs: Sequence[Job], place: Path, settings: SlurmSettings) -> list[Submission]:
    """Submit `jobs`, and record them in the sweep's directory, or the run's, `place`; returns at once.

    Each goes on with what its run's directory holds. Raises UserError if Slurm refuses them; nothing is left then.
    """
    refuse_without_cluster(settings)
    place = place.resolve()
    folder = place / FOLDER
    existed = [path for path in (folder, *place.parents, place) if path.exists()]
    before = set(folder.iterdir()) if folder.exists() else set()
    submissions: list[Submission] = []
    try:
        executor = make_executor(folder, settings, _gpus(settings, jobs))
        for start in range(0, len(jobs), ARRAY):
            new = _submit(executor, jobs[start : start + ARRAY], settings.cluster)
            write_submissions(place, new)
            submissions += new
    except BaseException as error:
        if not submissions:
            _remove_new(folder, before, existed)
        if isinstance(error, Exception) and type(error).__module__.startswith("submitit"):
            raise UserError(f"--slurm: {_reason(error)}") from error
        raise
    return submissions


def make_executor(folder: Path, settings: SlurmSettings, gpus: int) -> Any:
    """submitit's executor with the `settings`; the cluster `local` is this machine."""
    import submitit
    from submitit.local.local import LocalExecutor

    common = {"setup": settings.setup, "signal_delay_s": settings.warning_seconds, "stderr_to_stdout": True}
    if settings.cluster == "local":
        local = LocalExecutor(folder, max_num_timeout=settings.max_timeouts)
        local.update_parameters(timeout_min=settings.minutes, gpus_per_node=gpus, **common)
        return local
    given = {name: getattr(settings, name) for name in ("partition", "account", "qos", "constraint")}
    executor = submitit.SlurmExecutor(folder, max_num_timeout=settings.max_timeouts)
    executor.update_parameters(
        job_name="gan-exp",
        time=settings.minutes,
        mem=settings.slurm_memory,
        cpus_per_task=settings.cpus,
        array_parallelism=settings.at_once,
        # srun of Slurm 22.05 and later doesn't take the number of CPUs over from sbatch.
        srun_args=[f"--cpus-per-task={settings.cpus}"],
        additional_parameters={"requeue": True, **settings.extra},
        **common,
        **{name: value for name, value in given.items() if value is not None},
        **({"gpus_per_node": gpus} if gpus else {}),
    )
    return executor


def _submit(executor: Any, jobs: Sequence[Job], cluster: str) -> list[Submission]:
    from submitit.helpers import clean_env

    jobs = [replace(job, directory=str(Path(job.directory).absolute()), go_on=True) for job in jobs]
    code = code_state(jobs[0].trusted)  # of one command, so the same for all
    tasks = [SubmittedJob(job, code, str(executor.folder)) for job in jobs]
    # Within another job of Slurm its variables would be inherited; submitit prints what it raises, too.
    with clean_env(), redirect_stderr(StringIO()):
        submitted = executor.submit_array(tasks)
    for one in submitted if cluster == "local" else ():
        one._process.returncode = 0  # it outlives this command, of which Python would warn
    now = time.time()
    return [
        Submission(one.job_id, job.number, job.label, job.directory, now, cluster, job.config, str(code))
        for one, job in zip(submitted, jobs, strict=True)
    ]


def _gpus(settings: SlurmSettings, jobs: Sequence[Job]) -> int:
    """One for each job, unless all of them train on CPUs, or `extra` asks for GPUs."""
    if settings.gpus is not None:
        return settings.gpus
    if any(key.startswith("gpus") or (key == "gres" and "gpu" in value) for key, value in settings.extra.items()):
        return 0
    return 0 if all(job.config["device"]["name"] == "cpu" for job in jobs) else 1


def _reason(error: Exception) -> str:
    """What sbatch has said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line.partition("error: ")[2] for line in lines if "sbatch: error: " in line]
    return f"sbatch refused the jobs ({'; '.join(said) or (lines[-1] if lines else type(error).__name__)})"


def _remove_new(folder: Path, before: set[Path], existed: Sequence[Path]) -> None:
    with suppress(OSError):
        for path in set(folder.iterdir()) - before:
            path.unlink()
    for path in (folder, *folder.parents):
        if path in existed:
            return
        with suppress(OSError):
            path.rmdir()
