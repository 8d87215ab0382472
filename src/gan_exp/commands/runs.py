"""`gan-exp runs [DIR] [FILTER ...]`: the runs and sweeps below a folder, filtered and sorted (without torch)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser
from gan_exp.comparison.places import PLACES_HELP, read_places
from gan_exp.errors import UserError
from gan_exp.runs.run_names import OUTPUTS
from gan_exp.runtime.paths import expand_user, is_directory
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.comparison.listing import Listing
    from gan_exp.comparison.records import RunRecord

MOST_REASONS = 5  # failed runs whose cause is printed below the table


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)

    from gan_exp.comparison.filters import is_filter, parse
    from gan_exp.comparison.listing import by_sweep, list_records, sort_records

    filters = [word for word in options.words if is_filter(word) and not is_directory(expand_user(word, "DIR"))]
    places = [word for word in options.words if word not in filters]
    if not places and not OUTPUTS.is_dir():
        raise UserError(f"{OUTPUTS}: no such folder here; train a run with `gan-exp train`, or name another folder")
    records = read_places(places or [str(OUTPUTS)])
    checks = [parse(word, records) for word in filters]
    found = [record for record in records if all(check.accepts(record) for check in checks)]
    metrics = None if options.metrics is None else [name for name in options.metrics.split(",") if name]
    if not found:
        say(f"none of {len(records):,} runs passes {' '.join(filters)}")
        return 0
    if options.sort is not None:
        found = sort_records(found, options.sort, options.reverse)
    else:
        found = by_sweep(found[::-1] if options.reverse else found)
    listing = list_records(found, metrics)
    _show(listing, options.format, options.sort is None)
    return 0


def _parser() -> Parser:
    parser = Parser("runs", "List runs and sweeps: state, step, metrics, the doctor's verdict, what is not default.")
    parser.add_argument("words", nargs="*", metavar="DIR | FILTER", help=(
        f"{PLACES_HELP} (default: {OUTPUTS}); a filter is key=value, key!=value, or 'key<number' with <, <=, > or >=, "
        "which the shell needs in quotes: 'fid_cnn<5'. Keys: settings (lr, model.name, loss), metrics (fid_cnn, "
        "loss/generator, seconds), name, state, step, sweep, doctor, reason. state=failed,stale: one of them; "
        "name=*dcgan*: * stands for anything"
    ))  # fmt: skip
    parser.add_argument("--metrics", metavar="M,M", help="metrics to show (default: that of the best checkpoints)")
    parser.add_argument("--sort", metavar="KEY", help="a key as in filters; of a metric the best first")
    parser.add_argument("--reverse", action="store_true", help="in the opposite order")
    formats = parser.add_mutually_exclusive_group()
    for name, what in (("json", "with all settings and metrics"), ("csv", "a line for each run")):
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"as {name}, {what}")
    return parser


def _show(listing: "Listing", form: str | None, with_sweeps: bool) -> None:
    if form == "json":
        from gan_exp.comparison.listing import plain_record
        from gan_exp.runtime.files import json_text

        pairs = zip(listing.records, listing.settings, strict=True)
        print(json_text([plain_record(record, {**listing.common, **own}) for record, own in pairs], indent=2))
        return
    if form == "csv":
        from gan_exp.comparison.listing import as_csv

        print(as_csv(listing))
        return
    from gan_exp.comparison.grouping import label
    from gan_exp.comparison.listing import count_states
    from gan_exp.display.console import make_console
    from gan_exp.display.run_table import run_table

    make_console().print(run_table(listing, with_sweeps), crop=False)
    say(f"\n{count_states(listing.records)}")
    if listing.common:
        say(f"all of them: {label(listing.common)}")
    _show_reasons([record for record in listing.records if record.state == "failed" and record.reason])


def _show_reasons(failed: "Sequence[RunRecord]") -> None:
    for record in failed[:MOST_REASONS]:
        say(f"failed: {record.name}: {' '.join(str(record.reason).split())}")
    if len(failed) > MOST_REASONS:
        say(f"failed: {len(failed) - MOST_REASONS} more (their causes: --csv)")
