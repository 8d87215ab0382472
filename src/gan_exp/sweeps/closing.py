"""The last lines of a sweep: what became of its runs, and how to go on."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from gan_exp.display.console import make_console
from gan_exp.errors import LISTABLE
from gan_exp.runs.run_names import is_sweep
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.terminal import say
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.progress import best_of

INTERRUPTED = "interrupted"
MOST_ROWS = 40  # of a sweep with more runs only those that have not finished are in the table


def show_closing(
    jobs: Sequence[Job],
    outcomes: Mapping[int, Outcome],
    directory: Path,
    stopped_by: signal.Signals | None = None,
    quiet: bool = False,
) -> None:
    """Print the table, how many runs finished, which failed, and how to continue the rest."""
    if not quiet and any(outcome.finished or outcome.failed for outcome in outcomes.values()):
        _show_table(jobs, outcomes)
    finished = sum(outcome.finished for outcome in outcomes.values())
    failed = [str(job) for job in jobs if job.number in outcomes and outcomes[job.number].failed]
    interrupted = sum(_end(job, outcomes.get(job.number)) == INTERRUPTED for job in jobs)
    not_begun = len(jobs) - finished - len(failed) - interrupted
    parts = [f"{finished} of {len(jobs)} runs finished"]
    if failed:
        more = f"; and {len(failed) - LISTABLE} more" if len(failed) > LISTABLE else ""
        parts.append(f"{len(failed)} failed ({'; '.join(failed[:LISTABLE])}{more})")
    if interrupted:
        parts.append(f"{interrupted} interrupted")
    if not_begun:
        parts.append(f"{not_begun} not begun")
    if stopped_by is not None:
        parts[0] = f"stopped by {stopped_by.name}: {parts[0]}"
    can_go_on = not_begun > 0 or any(outcome.can_go_on for outcome in outcomes.values())
    place = path_from_here(directory)
    again = f"; for the rest: gan-exp resume {place}" if can_go_on and is_sweep(directory) else ""
    say(f"sweep: {', '.join(parts)}{again}")
    if stopped_by is None and finished:
        say(f"next:\n  gan-exp compare {place}\n  gan-exp dashboard {place}")


def _show_table(jobs: Sequence[Job], outcomes: Mapping[int, Outcome]) -> None:
    shown = [job for job in jobs if len(jobs) <= MOST_ROWS or not outcomes.get(job.number, Outcome(0)).finished]
    rows = [(job, outcomes.get(job.number), best_of(job)) for job in shown]
    if not rows:
        return
    scored = next((best.tag for _, _, best in rows if best is not None), None)
    console = make_console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("run", "values", "end", *([f"best {scored}"] if scored else [])):
        table.add_column(column, overflow="fold")
    for job, outcome, best in rows:
        score = [] if scored is None else ["" if best is None else f"{best.score:.4g} (step {best.step})"]
        table.add_row(str(job.number), job.label, _end(job, outcome), *score)
    console.print(table)


def _end(job: Job, outcome: Outcome | None) -> str:
    """`outcome` is None if it was not begun by this command; an earlier one may have begun it."""
    if outcome is not None and outcome.finished:
        return "finished"
    if outcome is None or not outcome.failed:
        return INTERRUPTED if job.run.config.exists() else "not begun"
    kind = "killed" if outcome.code < 0 else "refused" if outcome.code == 2 else "failed"
    return f"{kind}: {path_from_here(job.run.output)}" if job.run.output.exists() else kind
