"""A run's directory: this class alone knows what its files are called, and no file of it is ever half there."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gan_exp.errors import UserError

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"


class RunDir:
    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.status = self.path / "status.json"
        self.metrics = self.path / "metrics.jsonl"
        self.log = self.path / "log.txt"
        self.tensorboard = self.path / "tensorboard"
        self.samples = self.path / "samples"
        self.animation = self.samples / "animation.gif"
        self.checkpoints = self.path / "checkpoints"

    @classmethod
    def create(cls, path: Path | str, config: dict[str, Any], environment: dict[str, Any]) -> "RunDir":
        """A new run's directory with its configuration in it. Raises UserError where there is a run already."""
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            try:
                # The one exclusive act: whoever makes this file owns the directory.
                with run.config.open("x") as file:
                    file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
            except FileExistsError:
                raise UserError(
                    f"{path}: holds a run already; go on with `gan-exp resume {path}`, or choose another directory"
                ) from None
            run.samples.mkdir()
            run.checkpoints.mkdir()
            write_atomically(run.environment, json.dumps(environment, indent=2) + "\n")
        except OSError as error:
            raise cannot_write(run.path, error) from error
        run.point_latest_here()
        return run

    @classmethod
    def open(cls, path: str) -> "RunDir":
        """The run at `path`; `latest` is the newest one made here. Raises UserError where there is none."""
        place = LATEST if path == "latest" else Path(path)
        if path == "latest" and place.is_file():  # where there are no symbolic links: a file with the path in it
            place = OUTPUTS / place.read_text().strip()
        if not (place / "config.yaml").is_file():
            raise UserError(
                "latest: there is no run under outputs/ here; train one with `gan-exp train`, or name its directory"
                if path == "latest"
                else f"{path}: is not the directory of a run (it holds no config.yaml)"
            )
        return cls(place.resolve())

    def read_config(self) -> dict[str, Any]:
        try:
            plain = yaml.load(self.config.read_text(encoding="utf-8"), Loader=YamlLoader)
        except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(f"{self.config}: can't be read ({' '.join(str(error).split())})") from error
        if not isinstance(plain, dict):
            raise UserError(f"{self.config}: must hold keys and values")
        return plain

    def read_status(self) -> dict[str, Any]:
        try:
            status = json.loads(self.status.read_text(encoding="utf-8")) if self.status.exists() else {}
        except (OSError, ValueError) as error:
            raise UserError(f"{self.status}: can't be read ({error}); remove it to go on without it") from error
        return status if isinstance(status, dict) else {}

    def write_status(self, state: str, step: int, reason: str | None = None, **details: Any) -> None:
        """`state` is running, finished, failed or interrupted."""
        status = {"state": state, "step": step, "reason": reason, **details}
        write_atomically(self.status, json.dumps(status, indent=2) + "\n")

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}.pt"

    def list_checkpoints(self) -> list[tuple[int, Path]]:
        """(step, file) of each checkpoint, oldest first."""
        return list(_numbered(self.checkpoints, "pt"))

    def sample_grid(self, step: int) -> Path:
        return self.samples / f"step-{step:08d}.png"

    def list_sample_grids(self) -> list[tuple[int, Path]]:
        """(step, file) of each grid, oldest first."""
        return list(_numbered(self.samples, "png"))

    def point_latest_here(self) -> None:
        """Let outputs/latest lead to this run, wherever it is. Only a convenience: it must not end a run."""
        target = os.path.relpath(self.path.resolve(), OUTPUTS.resolve())
        spare = LATEST.with_name(f".latest-{os.getpid()}")
        try:
            OUTPUTS.mkdir(exist_ok=True)
            spare.unlink(missing_ok=True)
            try:
                spare.symlink_to(target, target_is_directory=True)
            except OSError:  # a file system or a system without symbolic links
                spare.write_text(target)
            os.replace(spare, LATEST)
        except OSError:
            return


class YamlLoader(yaml.SafeLoader):
    """YAML 1.1 takes 2e-4 for a string and 2026-01-01 for a date; who edits config.yaml means a number and a name."""


YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def _numbered(folder: Path, ending: str) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob(f"step-*.{ending}")):
        number = path.stem.removeprefix("step-")
        if number.isdecimal():
            yield int(number), path


def make_unique_directory(wanted: str) -> str:
    """Make the directory `wanted`, or `wanted`-2, -3, ... where it exists: two runs of one second never share one."""
    path = Path(wanted)
    number = 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                path.mkdir()
                return str(path)
            except FileExistsError:
                number += 1
                path = Path(f"{wanted}-{number}")
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: can't be written ({error.strerror or error}); choose another directory with hydra.run.dir=... "
        f"(of a sweep: hydra.sweep.dir=...)"
    )


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` by a file that is whole on the disk before it gets its name."""
    data = content.encode() if isinstance(content, str) else content
    spare = path.with_name(f".{path.name}-{os.getpid()}")  # in the same directory: a rename can't cross file systems
    try:
        with spare.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(spare, path)
    except BaseException:
        spare.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make a rename last through a power cut; Windows can't open directories and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
