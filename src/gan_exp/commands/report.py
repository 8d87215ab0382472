"""`gan-exp report RUN|SWEEP|DIR ...`: a page about one run or many, in one HTML file that needs no network."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser
from gan_exp.comparison.places import PLACES_HELP, find_place, read_places
from gan_exp.errors import UserError
from gan_exp.runs.run_names import is_sweep
from gan_exp.runtime.paths import expand_user, is_directory, path_from_here
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from gan_exp.comparison.records import RunRecord

FILE = "report.html"


def run(arguments: list[str]) -> int:
    parser = Parser("report", "Write a page about a run, a sweep or all runs below a directory: one file to send.")
    parser.add_argument("places", nargs="+", metavar="RUN", help=PLACES_HELP)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help=f"default: {FILE} in the run's, the sweep's or the given directory"
    )
    parser.add_argument("--by", metavar="M", help="the metric that ranks groups of runs, as for gan-exp compare")
    parser.add_argument("--force", action="store_true", help="replace a FILE that is no report")
    options = parser.parse_args(arguments)

    places = list(dict.fromkeys(find_place(name).resolve() for name in options.places))
    output = _output(options.output, places)
    _check_output(output, options.force)
    records = read_places(options.places)

    from gan_exp.runtime.files import write_atomically

    content = _page(records, places, options.by).encode("utf-8", errors="replace")  # a file name need not be UTF-8
    try:
        write_atomically(output, content)
    except OSError as error:
        raise UserError(f"{output}: can't be written ({error.strerror or error}); name another file with -o") from error
    runs = plural(len(records), "run")
    say(f"report on {runs}, {len(content) / 1e6:.1f} MB: {path_from_here(output)}")
    return 0


def _output(given: str | None, places: list[Path]) -> Path:
    if given is not None:
        return expand_user(given, "--output")
    return (places[0] if len(places) == 1 else Path()) / FILE


def _check_output(output: Path, force: bool) -> None:
    """Raises UserError before anything is read, which may take a while."""
    from gan_exp.report.page import is_ours

    if is_directory(output):
        raise UserError(f"{output}: is a directory; name a file, such as -o {output / FILE}")
    if not is_directory(output.parent):
        raise UserError(f"{output}: there is no directory {output.parent}; make it first, or name another file with -o")
    with suppress(OSError, ValueError):
        if output.exists() and not force and not is_ours(output):
            raise UserError(f"{output}: exists and is no report; name another file with -o, or replace it with --force")


def _page(records: "Sequence[RunRecord]", places: list[Path], by: str | None) -> str:
    from gan_exp.comparison.metric_names import resolve_tag

    made = datetime.now().strftime("%Y-%m-%d %H:%M")
    if by is not None:
        resolve_tag(by, records)  # also where there is nothing to rank
    if len(records) == 1:
        from gan_exp.report.one import page_of_one

        return page_of_one(records[0], made)
    from gan_exp.report.many import page_of_many

    names = [place.name for place in places]
    title = ", ".join(names) if len(names) <= 3 else f"{len(records)} runs of {len(places)} places"
    sweep = places[0] if len(places) == 1 and is_sweep(places[0]) else None
    return page_of_many(records, title, ", ".join(map(str, places[:3])), sweep, made, by)
