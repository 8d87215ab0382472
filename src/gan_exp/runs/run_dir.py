"""A run's directory; only this class knows the names of its files."""

import json
import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_exp.config.plain_yaml import read_yaml, yaml_text
from gan_exp.errors import UserError
from gan_exp.runs.run_names import LATEST, OUTPUTS, RUN_FILE, find, list_directories, listed
from gan_exp.runtime.files import PARTIAL, cannot_write, json_text, sync_directory, write_atomically


class RunDir:
    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.lock = self.path / ".lock"
        self.config = self.path / RUN_FILE
        self.environment = self.path / "environment.json"
        self.data = self.path / "data.json"  # what was read
        self.status = self.path / "status.json"
        self.metrics = self.path / "metrics.jsonl"
        self.log = self.path / "log.txt"
        self.output = self.path / "output.txt"  # what a job's own process printed
        self.tensorboard = self.path / "tensorboard"
        self.samples = self.path / "samples"
        self.animation = self.samples / "animation.gif"
        self.real_images = self.samples / "reals.png"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.pt"  # by the evaluations during training; not among the numbered ones

    @classmethod
    def create(cls, path: Path | str, config: dict[str, Any], environment: dict[str, Any]) -> "RunDir":
        """Create a run's directory with its configuration. Raises UserError if it holds a run already."""
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            try:
                # Exclusive: the process that creates this file owns the directory.
                write_atomically(run.config, yaml_text(config), exclusive=True)
            except FileExistsError:
                place = shlex.quote(str(path))
                raise UserError(
                    f"{path}: holds a run already; continue it with `gan-exp resume {place}`, or choose another "
                    f"directory (gan-exp train --continue {place} starts a run or continues it)"
                ) from None
            run.make_folders()
            run.write_environment(environment)
            sync_directory(run.path.parent)
            sync_directory(run.path.parent.parent)
        except OSError as error:
            raise cannot_write(run.path, error) from error
        run.link_latest()
        return run

    @classmethod
    def open(cls, name: str) -> "RunDir":
        """The run with that path or short name; `latest` is the newest one. Raises UserError if there is none."""
        place = find(name)
        if not (place / RUN_FILE).is_file():
            raise UserError(f"{name}: is a sweep; name one of its runs: {listed(list_directories(place)[1:])}")
        return cls(place.resolve())

    def write_environment(self, environment: dict[str, Any]) -> None:
        write_atomically(self.environment, json_text(environment, indent=2) + "\n")

    def make_folders(self) -> None:
        """Create the folders that are missing, such as after a crash."""
        self.samples.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time train here. The system releases the lock of a process that dies.

        Raises UserError if another process holds the lock, or where a link leads out of the directory.
        """
        from filelock import FileLock, Timeout

        self._refuse_links_out()
        lock = FileLock(self.lock, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            status = self.read_status()
            who = f"process {status['pid']} on {status['host']}" if "pid" in status else "another process"
            raise UserError(f"{self.path}: {who} is training it; wait until it ends, or stop it first") from None
        except NotImplementedError:  # a file system without locks
            yield
            return
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Whether another process trains here."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.lock, timeout=0):
                return False
        except Timeout:
            return True
        except (NotImplementedError, OSError):
            return False

    def _refuse_links_out(self) -> None:
        """Check the files and folders that are written into; all other files are replaced, whether links or not."""
        inside = self.path.resolve()
        written = (self.lock, self.log, self.metrics, self.samples, self.checkpoints, self.tensorboard)
        for path in written:
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise UserError(
                    f"{path}: is a link out of the run, through which other files could be overwritten or removed; "
                    f"replace it by a file or folder"
                )

    def discard_records(self) -> None:
        """Remove metrics and events of a run that crashed before its first checkpoint and starts again at step 0."""
        self.metrics.unlink(missing_ok=True)
        for path in self.tensorboard.glob("events.out.tfevents.*"):
            path.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove the partial files of a killed process."""
        for folder in (self.path, self.samples, self.checkpoints):
            for path in folder.glob(f".*-[0-9a-f]*{PARTIAL}"):
                path.unlink(missing_ok=True)

    def read_config(self) -> dict[str, Any]:
        try:
            plain = read_yaml(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.config}: can't be read ({error})") from error
        if not isinstance(plain, dict):
            raise UserError(f"{self.config}: must hold keys and values")
        return plain

    def read_status(self) -> dict[str, Any]:
        """The status that the last process wrote; empty if there is none or a power cut has damaged it."""
        return _read_json(self.status)

    def trained_seconds(self) -> float:
        """What the processes that have trained the run have spent on it, as far as the status tells."""
        seconds = self.read_status().get("train_seconds")
        return float(seconds) if isinstance(seconds, int | float) else 0.0

    def read_environment(self) -> dict[str, Any]:
        """The machine, versions and words with which the run began; empty if that can't be read."""
        return _read_json(self.environment)

    def write_status(self, state: str, step: int, reason: str | None = None, **details: Any) -> None:
        """`state` is running, finished, failed or interrupted."""
        status = {"state": state, "step": step, "reason": reason, **details}
        if state == "running":
            status |= {"pid": os.getpid(), "host": socket.gethostname()}
        # The status of a running run need not survive a power cut, and waiting for the disk would slow down training.
        write_atomically(self.status, json_text(status, indent=2) + "\n", durable=state != "running")

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}.pt"

    def list_checkpoints(self) -> list[tuple[int, Path]]:
        """(step, file) of each checkpoint, oldest first."""
        return list(_numbered(self.checkpoints, "pt"))

    def evaluation(self, step: int, features: str) -> Path:
        """The file with the scores of a checkpoint in the features of one extractor, beside the checkpoint."""
        return self.checkpoints / f"step-{step:08d}-{features}.evaluation.json"

    def list_evaluations(self) -> list[Path]:
        """The files with scores of `gan-exp evaluate`, in the order of the steps."""
        return sorted(self.checkpoints.glob("*.evaluation.json"))

    def neighbours(self, step: int, features: str) -> Path:
        """The picture of samples beside their nearest training images."""
        return self.checkpoints / f"step-{step:08d}-{features}.neighbours.png"

    def sample_grid(self, step: int) -> Path:
        return self.samples / f"step-{step:08d}.png"

    def list_sample_grids(self) -> list[tuple[int, Path]]:
        """(step, file) of each grid, oldest first."""
        return list(_numbered(self.samples, "png"))

    def is_latest(self) -> bool:
        """Whether `latest` names this run in the current directory."""
        try:
            return RunDir.open("latest").path == self.path.resolve()
        except UserError:
            return False

    def link_latest(self) -> None:
        """Point outputs/latest to this run. Errors are ignored, because this is only a convenience."""
        target = os.path.relpath(self.path.resolve(), OUTPUTS.resolve())
        spare = LATEST.with_name(f".latest-{os.getpid()}")
        try:
            OUTPUTS.mkdir(exist_ok=True)
            spare.unlink(missing_ok=True)
            try:
                spare.symlink_to(target, target_is_directory=True)
            except OSError:  # no symbolic links here
                spare.write_text(target)
            os.replace(spare, LATEST)
        except OSError:
            return


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbered(folder: Path, ending: str) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob(f"step-*.{ending}")):
        number = path.stem.removeprefix("step-")
        if number.isdecimal() and number == f"{int(number):08d}":  # leaves other files such as step-7.pt alone
            yield int(number), path
