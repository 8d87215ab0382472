"""`python -m benchmarks.doctor [--docs]`: play the runs, and hold the verdicts against the truth."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

from benchmarks.doctor.play import directory, is_played, play
from benchmarks.doctor.runs import RUNS, Run
from benchmarks.tables import ROOT, as_markdown, write_section
from gan_exp.commands.doctor import examine
from gan_exp.diagnosis.facts import facts_of
from gan_exp.diagnosis.verdicts import Doctor
from gan_exp.run_dir import RunDir

DOCUMENT = ROOT / "docs/doctor.md"
SEEDS = (0, 1, 2)  # the thresholds were chosen on runs of seed 100


class Case(NamedTuple):
    run: Run
    seed: int
    verdict: str  # the gravest at the end
    since: int
    told: tuple[str, ...]  # whatever else was told on the way

    @property
    def right(self) -> bool:
        """No healthy run may ever be told anything else."""
        return self.verdict in self.run.truth and (self.run.truth != ("healthy",) or not self.told)

    @property
    def cell(self) -> str:
        """What is wrong is bold: of a healthy run also what was told of it on the way."""
        if self.right:
            return f"{self.verdict}, {self.since:,}"
        return f"**{', '.join((self.verdict, *self.told)) if self.run.truth == ('healthy',) else self.verdict}**"


def judge(folder: Path, run: Run, seed: int) -> Case:
    place = RunDir(directory(folder, run, seed))
    records, verdicts = examine(place)
    doctor = Doctor(facts_of(place.read_config()))
    told = []
    for record in records:
        doctor.add(record)
        told += [verdict.name for verdict in doctor.verdicts]
    name, since = (verdicts[0].name, verdicts[0].since) if verdicts else ("too early to say", 0)
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
    healthy = [case for case in cases if case.run.truth == ("healthy",)]
    failing = [case for case in cases if case not in healthy]
    return (
        f"{len(cases)} runs: {sum(case.right for case in healthy)} of {len(healthy)} healthy ones were never called "
        f"anything else, and {sum(case.right for case in failing)} of {len(failing)} others were called what they are."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.doctor", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("outputs/doctor"), help="where runs lie, or will")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", default="", help="runs whose name holds this")
    parser.add_argument("--played", action="store_true", help="play no more: judge the runs that lie in --folder")
    parser.add_argument("--data", help="the folder that holds MNIST/raw")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/doctor.md")
    options = parser.parse_args()
    if options.data:
        os.environ["GAN_EXP_DATA"] = options.data
    chosen = [(run, seed) for seed in options.seeds for run in RUNS if options.only in run.name]
    if options.played:
        chosen = [(run, seed) for run, seed in chosen if is_played(options.folder, run, seed)]
    for run, seed in chosen:
        play(options.folder, run, seed)
    cases = [judge(options.folder, run, seed) for run, seed in chosen]
    text = f"{summary(cases)}\n\n{table(cases)}"
    print(text)
    if options.docs:
        write_section(DOCUMENT, "verdicts", text, "benchmarks.doctor")


if __name__ == "__main__":
    main()
