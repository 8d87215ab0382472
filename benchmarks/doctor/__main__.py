"""`python -m benchmarks.doctor [--docs]`: play the runs, and hold the verdicts against the truth."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

from benchmarks.doctor.play import directory, is_played, play
from benchmarks.doctor.runs import SHORT, Run
from benchmarks.doctor.usual import USUAL
from benchmarks.tables import ROOT, as_markdown, write_section
from gan_exp.commands.doctor import examine
from gan_exp.diagnosis.facts import facts_of
from gan_exp.diagnosis.signs import HEALTHY, SIGNS
from gan_exp.diagnosis.verdicts import Doctor
from gan_exp.run_dir import RunDir

DOCUMENT = ROOT / "docs/doctor.md"
PARTS = {"usual": USUAL, "short": SHORT}
TROUBLES = {sign.name for sign in SIGNS}
FAILING = "made to fail (wrong: called healthy at the end)"
SEEDS = (0, 1)  # the thresholds were chosen on runs of seed 100


class Case(NamedTuple):
    run: Run
    seed: int
    verdict: str  # the gravest at the end
    since: int
    told: tuple[str, ...]  # whatever else was told on the way

    @property
    def is_healthy(self) -> bool:
        """By its truth."""
        return self.run.truth == (HEALTHY,)

    @property
    def right(self) -> bool:
        return self.verdict in self.run.truth and not self.alarms

    @property
    def alarms(self) -> tuple[str, ...]:
        """What a healthy run may never be told at any time."""
        return tuple(name for name in (self.verdict, *self.told) if name in TROUBLES) if self.is_healthy else ()

    @property
    def wrong(self) -> bool:
        """A healthy run's false alarm; a failing one that is called healthy at the end."""
        return bool(self.alarms) or (not self.is_healthy and self.verdict == HEALTHY)

    @property
    def cell(self) -> str:
        """What is wrong is bold, also what was told of a healthy run on the way; italic is what is neither."""
        if self.right:
            return f"{self.verdict}, {self.since:,}"
        if self.wrong:
            return f"**{', '.join(self.alarms or (self.verdict,))}**"
        return f"*{self.verdict}*"


def judge(folder: Path, run: Run, seed: int) -> Case:
    place = RunDir(directory(folder, run, seed))
    records, verdicts = examine(place)
    doctor = Doctor(facts_of(place.read_config()))
    told = []
    for record in records:
        doctor.add(record)
        told += [verdict.name for verdict in doctor.verdicts]
    name, since = verdicts[0].name, verdicts[0].since
    return Case(run, seed, name, since, tuple(dict.fromkeys(other for other in told if other != name)))


def table(cases: list[Case]) -> str:
    """A row a run, a column a seed."""
    seeds = sorted({case.seed for case in cases})
    rows = [["run", "made so by", "truth", *(f"seed {seed}" for seed in seeds)]]
    for run in dict.fromkeys(case.run for case in cases):
        cells = {case.seed: case.cell for case in cases if case.run == run}
        rows.append([run.name, run.made, " or ".join(run.truth), *(cells.get(seed, "") for seed in seeds)])
    return as_markdown(rows)


def summary(cases: list[Case]) -> str:
    """The outcomes counted: what is right, what is wrong, and what is neither."""
    rows = [["runs", "played", "called what they are", "unclear, or other trouble", "wrong"]]
    healthy = [case for case in cases if case.is_healthy]
    failing = [case for case in cases if not case.is_healthy]
    for name, part in (("healthy (wrong: a false alarm at any time)", healthy), (FAILING, failing)):
        right, wrong = sum(case.right for case in part), sum(case.wrong for case in part)
        rows.append([name, *map(str, (len(part), right, len(part) - right - wrong, wrong))])
    return as_markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.doctor", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("outputs/doctor"), help="where runs lie, or will")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--part", nargs="+", choices=PARTS, help="of the two tables one")
    parser.add_argument("--only", default="", help="runs whose name holds this")
    parser.add_argument("--played", action="store_true", help="play no more: judge the runs that lie in --folder")
    parser.add_argument("--data", help="the folder that holds MNIST/raw")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/doctor.md")
    options = parser.parse_args()
    if options.data:
        os.environ["GAN_EXP_DATA"] = options.data
    runs = [run for name in options.part or PARTS for run in PARTS[name] if options.only in run.name]
    chosen = [(run, seed) for seed in options.seeds for run in runs]
    if options.played:
        chosen = [(run, seed) for run, seed in chosen if is_played(options.folder, run, seed)]
    for run, seed in chosen:
        play(options.folder, run, seed)
    cases = [judge(options.folder, run, seed) for run, seed in chosen]
    for name, runs in PARTS.items():
        of_part = [case for case in cases if case.run in runs]
        if of_part:
            text = f"{summary(of_part)}\n\n{table(of_part)}"
            print(f"{name}\n\n{text}\n")
            if options.docs:
                write_section(DOCUMENT, f"verdicts {name}", text, "benchmarks.doctor")


if __name__ == "__main__":
    main()
