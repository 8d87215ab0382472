"""`gan-exp search --trials N --dir DIR lr='log(1e-5,1e-2)' ...`: search for a configuration with Optuna."""

import argparse
from typing import TYPE_CHECKING, Any

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user, is_directory
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import stop_if_asked

if TYPE_CHECKING:
    import optuna

    from gan_exp.search.trial import Setting


def run(arguments: list[str]) -> int:
    options = _parser().parse_intermixed_args(arguments)

    from gan_exp.config.targets import trust

    trust(options.trust)
    refuse_multiple_processes("search")
    _require_optuna()
    return _search(options)


def _parser() -> Parser:
    parser = Parser("search", "Search for the configuration with the best metric; the same command again goes on.")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=(
        "what to search: lr='log(1e-5,1e-2)', 'interval(0,1)', 'range(1,9,2)', 'choice(mlp,dcgan)'; and what to set. "
        "Without any, the search in DIR goes on"
    ))  # fmt: skip
    parser.add_argument("--dir", metavar="DIR", help="the search's directory; processes with the same one share it")
    parser.add_argument("--trials", type=count_of(1), metavar="N", help="how many configurations to try, in all")
    parser.add_argument("--metric", metavar="M[,M]", help=(
        "the score to improve, as best_metric names it (default: the panel; of points fid); fid,seconds gives a front"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", choices=("last", "best"), help=(
        "take the score of the last evaluation (default), or the best one, which chance flatters"
    ))  # fmt: skip
    parser.add_argument("--seeds", type=count_of(1), metavar="K", help="train each with K seeds, take the mean")
    parser.add_argument("--sampler", default="tpe", metavar="S", help=(
        "tpe (default), random, gp, grid, ...: one of Optuna's, such as 'tpe(n_startup_trials=5)'"
    ))  # fmt: skip
    parser.add_argument("--pruner", default="nop", metavar="P", help=(
        "nop (default), median, hyperband, ...: one of Optuna's, such as 'median(n_startup_trials=3)'"
    ))  # fmt: skip
    parser.add_argument("--workers", type=count_of(1), default=1, metavar="N", help="trials at a time (default 1)")
    parser.add_argument("--storage", metavar="URL", help=(
        "a database for several machines (default: SQLite in DIR), such as postgresql://user@host/name"
    ))  # fmt: skip
    parser.add_argument("--study", metavar="NAME", help="the study's name in that database (default: DIR's name)")
    parser.add_argument("--config-dir", metavar="DIR", help="the folder with your own YAML files")
    parser.add_trust()
    return parser


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UserError(f"search: needs Optuna ({error}); install it with: pip install 'gan-exp[search]'") from error


def _search(options: argparse.Namespace) -> int:
    from gan_exp.search.named import try_methods, use_methods
    from gan_exp.search.place import Place
    from gan_exp.search.session import Session
    from gan_exp.search.space_check import checked_setting
    from gan_exp.search.start import with_starter
    from gan_exp.search.study import open_study, quiet_optuna

    quiet_optuna()
    if options.dir is None:
        raise UserError("search: needs a directory; name it with --dir DIR (see gan-exp search --help)")
    place = Place(options.dir, options.storage, options.study)
    record = place.record()
    if record is None and not options.overrides:
        ranges = "begin one by giving keys a range, such as lr='log(1e-5,1e-2)'"
        raise UserError(f"{place.shown}: there is no search to go on with; {ranges}")
    if record is None and options.trials is None:
        raise UserError("search: how many trials? name the number with --trials N")
    setting = checked_setting(_setting(options, {} if options.overrides else record or {}))
    try_methods(setting.question, options.sampler, options.pruner)
    stop_if_asked()
    with place.made():
        study = open_study(setting.question, place.storage(), place.study, place.shown)
        count = _count(options, study)
    use_methods(study, setting.question, options.sampler, options.pruner)
    setting = with_starter(setting, options.workers)
    return Session(place, setting, study, count, options.workers).run()


def _setting(options: argparse.Namespace, record: dict[str, Any]) -> "Setting":
    """What the options ask; `record` is what the search that goes on without words has asked."""
    from gan_exp.config.compose import compose
    from gan_exp.config.metrics import AUTO
    from gan_exp.search.named import prunes
    from gan_exp.search.objective import parse_objectives, usual_metric
    from gan_exp.search.space import parse_space
    from gan_exp.search.study import Question, words_of
    from gan_exp.search.trial import Setting
    from gan_exp.sweeps.process import start

    folders = []
    if options.config_dir is not None:
        folders.append(expand_user(options.config_dir, "--config-dir"))
        if not is_directory(folders[0]):
            raise UserError(f"--config-dir {options.config_dir}: no such folder")
    space = parse_space(options.overrides or words_of(record), folders)
    if not space.parameters:
        raise UserError(f"{' '.join(options.overrides)}: nothing to search; give a key a range: lr='log(1e-5,1e-2)'")
    metric = options.metric or record.get("metric", AUTO)
    usual = usual_metric(compose(space.constants, folders).plain) if AUTO in metric.split(",") else ""
    question = Question(
        space,
        parse_objectives(metric, usual),
        options.checkpoint or record.get("checkpoint", "last"),
        options.seeds or record.get("seeds", 1),
    )
    return Setting(question, start, folders, prunes(options.pruner), tuple(options.trust))


def _count(options: argparse.Namespace, study: "optuna.Study") -> int:
    """The number of trials, which a search that goes on remembers."""
    from gan_exp.search.study import COUNT

    if options.trials is not None:
        study.set_user_attr(COUNT, options.trials)
    return int(study.user_attrs[COUNT])
