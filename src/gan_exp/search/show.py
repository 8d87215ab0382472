"""What a search prints: one line for each trial, and at its end the best ones and the importances."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from gan_exp.display.console import make_console
from gan_exp.search.result import Row, front, ranked
from gan_exp.search.study import Question
from gan_exp.search.worker import short_words

MOST_ROWS = 10


def trial_line(question: Question, row: Row, found: Sequence[Row], count: int) -> str:
    """The line for a trial that has ended, with what is best so far."""
    done = sum(other.state not in ("running", "waiting") for other in found)
    words = " ".join(short_words(question.space, row.params)) if row.params else "?"
    text = f"{shown_values(question, row)}" if row.values else f"{row.state}{f': {row.cause}' if row.cause else ''}"
    best = ranked(question, found)
    if len(question.objectives) > 1:
        standing = f"{len(front(question, found))} on the front"
    elif best:
        standing = f"best: {shown_values(question, best[0])} of trial {best[0].number}"
    else:
        standing = "none complete yet"
    return f"trial {row.number} ({words}): {text}; {done} of {count} done, {standing}"


def shown_values(question: Question, row: Row) -> str:
    named = zip(question.objectives, row.values, strict=True)
    return ", ".join(f"{objective.metric} {value:.4g}" for objective, value in named)


def closing_table(question: Question, found: Sequence[Row]) -> None:
    """The best trials; of several objectives those that no other one beats in all of them."""
    several = len(question.objectives) > 1
    best = front(question, found) if several else ranked(question, found)
    title = "the front: no trial beats these in every objective" if several else "the best trials"
    table = Table(title=title, title_justify="left")
    for name in ("trial", *(o.metric for o in question.objectives), *(p.name for p in question.space.parameters)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in best[:MOST_ROWS]:
        words = [word.partition("=")[2] for word in short_words(question.space, row.params)]
        table.add_row(str(row.number), *(f"{value:.4g}" for value in row.values), *words)
    make_console().print(table)


def counts(found: Sequence[Row]) -> str:
    """How many trials ended in which way: 27 complete, 2 pruned, 1 failed."""
    states = [row.state for row in found]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))


def importance_lines(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [
        f"importance for {metric}: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        for metric, shares in found.items()
    ]
