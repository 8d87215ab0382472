"""`gan-exp compare RUN ...`: what differs between runs, and which settings are best over the seeds (without torch)."""

from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser
from gan_exp.comparison.places import PLACES_HELP, read_places
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.comparison.comparison import Comparison


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    records = read_places(options.runs)

    from gan_exp.comparison import formats
    from gan_exp.comparison.comparison import compare
    from gan_exp.runtime.files import json_text

    metrics = None if options.metrics is None else [name for name in options.metrics.split(",") if name]
    found = compare(records, options.by, metrics, options.checkpoint == "best", options.scores)
    if options.format == "json":
        print(json_text(formats.plain(found), indent=2))
    elif options.format is not None:
        print({"markdown": formats.markdown, "latex": formats.latex, "csv": formats.csv_text}[options.format](found))
    else:
        show(found)
    return 0


def show(comparison: "Comparison") -> None:
    """The table, and what is to be said of it."""
    from gan_exp.comparison.formats import sentences
    from gan_exp.display.comparison_table import comparison_table
    from gan_exp.display.console import make_console

    make_console().print(comparison_table(comparison), crop=False)
    say("")
    for sentence in sentences(comparison):
        say(sentence)


def _parser() -> Parser:
    parser = Parser(
        "compare",
        "Compare runs: the settings in which they differ, and metrics over the seeds, ranked. Runs that differ in the "
        "seed alone are a group. A group is worse than the best if its difference is larger than the spread explains "
        "(Welch's t-test, adjusted by Holm's method, p < 0.05).",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help=PLACES_HELP)
    parser.add_argument("--by", metavar="M", help="the metric that ranks (default: that of the best checkpoints)")
    parser.add_argument("--metrics", metavar="M,M", help="the metrics beside it, such as recall_cnn,loss/generator")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help=(
        "scores of the last evaluation (default), or of the best during training"
    ))  # fmt: skip
    parser.add_argument("--scores", choices=("training", "evaluate"), help=(
        "those of evaluations during training, or of gan-exp evaluate (default: those that most runs have)"
    ))  # fmt: skip
    forms = parser.add_mutually_exclusive_group()
    for name in ("markdown", "latex", "csv", "json"):
        forms.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print it as {name}")
    return parser
