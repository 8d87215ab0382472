"""`python -m benchmarks.doctor [--docs]`: train the runs, and compare the verdicts with the expected ones."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

from benchmarks.doctor.runs import SHORT, Run
from benchmarks.doctor.training import directory, has_ended, train
from benchmarks.doctor.usual import USUAL
from benchmarks.tables import ROOT, as_markdown, write_section
from gan_exp.diagnosis.examination import examine
from gan_exp.diagnosis.settings import settings_of
from gan_exp.diagnosis.troubles import HEALTHY, TROUBLES
from gan_exp.diagnosis.verdicts import Doctor
from gan_exp.runs.run_dir import RunDir

DOCUMENT = ROOT / "docs/doctor.md"
PARTS = {"usual": USUAL, "short": SHORT}
NAMES = {trouble.name for trouble in TROUBLES}
SEEDS = (0, 1)  # the thresholds were chosen on runs of seed 100


class Case(NamedTuple):
    run: Run
    seed: int
    verdict: str  # the gravest at the end
    since: int
    others: tuple[str, ...]  # that were reported earlier

    @property
    def is_healthy(self) -> bool:
        """Whether it is expected to be."""
        return self.run.expected == (HEALTHY,)

    @property
    def right(self) -> bool:
        return self.verdict in self.run.expected and not self.alarms

    @property
    def alarms(self) -> tuple[str, ...]:
        """Troubles reported for a healthy run at any time: there should be none."""
        return tuple(name for name in (self.verdict, *self.others) if name in NAMES) if self.is_healthy else ()

    @property
    def wrong(self) -> bool:
        """A false alarm on a healthy run, or a failing run that is called healthy at the end."""
        return bool(self.alarms) or (not self.is_healthy and self.verdict == HEALTHY)

    @property
    def cell(self) -> str:
        """Wrong verdicts are bold, also those of a healthy run on the way; those neither right nor wrong are italic."""
        if self.right:
            return f"{self.verdict}, {self.since:,}"
        if self.wrong:
            return f"**{', '.join(self.alarms or (self.verdict,))}**"
        return f"*{self.verdict}*"


def assess(folder: Path, run: Run, seed: int) -> Case:
    place = RunDir(directory(folder, run, seed))
    records, verdicts = examine(place)
    doctor = Doctor(settings_of(place.read_config()))
    reported: list[str] = []
    for record in records:
        doctor.add(record)
        reported += [verdict.name for verdict in doctor.verdicts]
    name, since = verdicts[0].name, verdicts[0].since
    return Case(run, seed, name, since, tuple(dict.fromkeys(other for other in reported if other != name)))


def table(cases: list[Case]) -> str:
    """A row for each run, a column for each seed."""
    seeds = sorted({case.seed for case in cases})
    rows = [["run", "setting", "expected verdict", *(f"seed {seed}" for seed in seeds)]]
    for run in dict.fromkeys(case.run for case in cases):
        cells = {case.seed: case.cell for case in cases if case.run == run}
        rows.append([run.name, run.setting, " or ".join(run.expected), *(cells.get(seed, "") for seed in seeds)])
    return as_markdown(rows)


def summary(cases: list[Case]) -> str:
    """How many verdicts are right, wrong, and neither."""
    rows = [["runs", "number", "right", "unclear, or another trouble", "wrong"]]
    healthy = [case for case in cases if case.is_healthy]
    failing = [case for case in cases if not case.is_healthy]
    for name, part in (("healthy", healthy), ("made to fail", failing)):
        right, wrong = sum(case.right for case in part), sum(case.wrong for case in part)
        rows.append([name, *map(str, (len(part), right, len(part) - right - wrong, wrong))])
    return as_markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.doctor", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("outputs/doctor"), help="the folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--part", nargs="+", choices=PARTS, help="only one of the two tables")
    parser.add_argument("--only", default="", help="only runs whose name contains this")
    parser.add_argument("--existing", action="store_true", help="train nothing: assess the runs in --folder")
    parser.add_argument("--data", help="the folder that holds MNIST/raw")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/doctor.md")
    options = parser.parse_args()
    if options.data:
        os.environ["GAN_EXP_DATA"] = options.data
    runs = [run for name in options.part or PARTS for run in PARTS[name] if options.only in run.name]
    chosen = [(run, seed) for seed in options.seeds for run in runs]
    if options.existing:
        chosen = [(run, seed) for run, seed in chosen if has_ended(options.folder, run, seed)]
    for run, seed in chosen:
        train(options.folder, run, seed)
    cases = [assess(options.folder, run, seed) for run, seed in chosen]
    for name, runs in PARTS.items():
        of_part = [case for case in cases if case.run in runs]
        if of_part:
            text = f"{summary(of_part)}\n\n{table(of_part)}"
            print(f"{name}\n\n{text}\n")
            if options.docs:
                write_section(DOCUMENT, f"verdicts {name}", text, "benchmarks.doctor")


if __name__ == "__main__":
    main()
