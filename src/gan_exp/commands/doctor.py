"""`gan-exp doctor RUN`: how a run is doing or ended, the evidence for it, and what to try next (without torch)."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import RUN_HELP, Parser
from gan_exp.comparison.places import find_place, read_places
from gan_exp.config.overrides import as_written
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import RUN_FILE
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from gan_exp.comparison.records import RunRecord
    from gan_exp.diagnosis.history import Record
    from gan_exp.diagnosis.verdicts import Verdict


def run(arguments: list[str]) -> int:
    parser = Parser(
        "doctor", "Diagnose a running, finished or failed run: verdicts, their evidence, and overrides to try."
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help=(
        f"{RUN_HELP}; of several runs, a sweep or a folder: a line for each run"
    ))  # fmt: skip
    options = parser.parse_args(arguments)
    places = [find_place(name) for name in options.runs]
    if len(places) > 1 or not (places[0] / RUN_FILE).is_file():
        _show_many(read_places(options.runs))
        return 0
    run_dir = RunDir.open(options.runs[0])

    from gan_exp.diagnosis.examination import examine

    _show(run_dir, *examine(run_dir))
    return 0


def _show_many(records: "Sequence[RunRecord]") -> None:
    from gan_exp.comparison.listing import by_sweep, count_states
    from gan_exp.diagnosis.examination import examine
    from gan_exp.display.console import make_console
    from gan_exp.display.run_table import verdict_table
    from gan_exp.runtime.terminal import say

    records = by_sweep(records)
    found: list[tuple[Verdict, ...]] = []
    for record in records:
        try:
            found.append(examine(RunDir(record.path))[1])
        except UserError:  # a job that waits for its turn has no run yet
            found.append(())
    make_console().print(verdict_table(records, found), crop=False)
    say(f"\n{count_states(records)}; the evidence and more to try: gan-exp doctor {path_from_here(records[0].path)}")


def _show(run_dir: RunDir, records: "Sequence[Record]", verdicts: "Sequence[Verdict]") -> None:
    from gan_exp.diagnosis.troubles import EARLY
    from gan_exp.display.console import make_console
    from gan_exp.display.verdicts import verdict_table
    from gan_exp.runtime.terminal import say

    console = make_console()
    grids = sum("samples/spread" in record for record in records)
    logs = sum("loss/generator" in record for record in records)
    evaluations = sum(any(tag.startswith("evaluation/") for tag in record) for record in records)
    seen = f"looked at {plural(logs, 'logged mean')}, {plural(grids, 'grid')} and {plural(evaluations, 'evaluation')}"
    status = run_dir.read_status()
    state = f"{status['state']} at step {status.get('step')}" if "state" in status else "no status"
    say(f"{run_dir.path}: {state}; {seen}")
    if logs and not grids and verdicts[0].name == EARLY:
        say("no verdict is possible: the version that trained this run kept no evidence from its samples")
        return
    for verdict in verdicts:
        console.print()
        console.print(verdict_table(verdict), crop=False)
    if any("spreads" in verdict.evidence for verdict in verdicts):
        say("\n(one spread is the mean distance between two images of the data)")
    if verdicts[0].remedies:
        words = with_override(_words(run_dir), verdicts[0].remedies[0])
        say(f"\nto train anew with the first override: gan-exp train {shlex.join(words)}")


def _words(run_dir: RunDir) -> list[str]:
    """The overrides that the run was trained with; "..." if they aren't known in full."""
    words = run_dir.read_environment().get("command")
    if not isinstance(words, list):
        return ["..."]
    options = [word for word in words if not isinstance(word, str) or word.startswith("-") or "=" not in word]
    return ["..."] if options else [as_written(word) for word in words if not word.startswith(("hydra.", "display="))]


def with_override(words: list[str], remedy: str) -> list[str]:
    """`words` with those of `remedy`, which replace words with the same keys and with keys below them."""
    new = remedy.split()
    keys = [word.partition("=")[0] for word in new]
    kept = [word for word in words if not any(word.startswith((f"{key}=", f"{key}.")) for key in keys)]
    return kept + new
