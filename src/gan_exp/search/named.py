"""Optuna's samplers and pruners by name with their arguments: tpe, gp, median(n_startup_trials=3).

A name is that of a class with or without its ending (TPESampler), in any case. Arguments are literals, or further
names: patient(median(), patience=2).
"""

import ast
import inspect
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler

from gan_exp.errors import UserError, did_you_mean
from gan_exp.search.space import Space
from gan_exp.search.study import Question

WORDS = {"true": True, "false": False, "null": None, "none": None}


def make_sampler(text: str, space: Space, seed_offset: int = 0) -> BaseSampler:
    """`seed_offset` is added to a seed among the arguments: a second process must not draw what the first has drawn.

    The grid of GridSampler is that of the space, if it is finite.
    """
    extra: dict[str, Any] = {}
    name, arguments, _ = _parse("--sampler", text)
    if _key(name) == "grid" and not arguments:
        extra["search_space"] = _grid(text, space)
    sampler = _make("--sampler", text, extra, seed_offset)
    assert isinstance(sampler, BaseSampler)
    return sampler


def make_pruner(text: str) -> BasePruner:
    pruner = _make("--pruner", text, {}, 0)
    assert isinstance(pruner, BasePruner)
    return pruner


def _make(option: str, text: str, extra: dict[str, Any], seed_offset: int) -> Any:
    _, arguments, call = _parse(option, text)
    known = _known(option)
    made = known[_key(_parse(option, text)[0])]
    try:
        positional = [_value(option, text, argument) for argument in arguments]
        named = {str(keyword.arg): _value(option, text, keyword.value) for keyword in call}
        if isinstance(named.get("seed"), int):
            named["seed"] += seed_offset
        return made(*positional, **named, **extra)
    except ImportError as error:
        raise UserError(f"{option} {text}: needs a package that is missing ({' '.join(str(error).split())})") from error
    except (TypeError, ValueError, AssertionError) as error:
        allowed = ", ".join(inspect.signature(made).parameters)
        raise UserError(f"{option} {text}: {' '.join(str(error).split())} (its arguments: {allowed})") from error


def _parse(option: str, text: str) -> tuple[str, list[ast.expr], list[ast.keyword]]:
    """The name, positional and named arguments of `name` or `name(...)`."""
    try:
        found = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{option} {text}: must be written name or name(argument=value)") from error
    call = found if isinstance(found, ast.Call) else ast.Call(found, [], [])
    if not isinstance(call.func, ast.Name):
        raise UserError(f"{option} {text}: must be written name or name(argument=value)")
    names = _known(option)
    if _key(call.func.id) not in names:
        raise UserError(f"{option} {text}: there is none called {call.func.id}; {did_you_mean(call.func.id, names)}")
    return call.func.id, call.args, call.keywords


def _value(option: str, text: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id.lower() in WORDS:
        return WORDS[node.id.lower()]
    if isinstance(node, ast.Call | ast.Name):
        return _make(option, ast.unparse(node), {}, 0)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise UserError(f"{option} {text}: {ast.unparse(node)} is no plain value") from error


def _known(option: str) -> dict[str, Any]:
    """Those of Optuna that can be built from a command line."""
    module, base = (optuna.samplers, BaseSampler) if option == "--sampler" else (optuna.pruners, BasePruner)
    classes = [found for name in module.__all__ if inspect.isclass(found := getattr(module, name))]
    return {_key(one.__name__): one for one in classes if issubclass(one, base) and not one.__name__.startswith("Base")}


def _key(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("sampler").removesuffix("pruner")


def _grid(text: str, space: Space) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for parameter in space.parameters:
        one = parameter.distribution
        if isinstance(one, CategoricalDistribution):
            values[parameter.name] = list(one.choices)
        elif isinstance(one, IntDistribution) and not one.log:
            values[parameter.name] = list(range(one.low, one.high + 1, one.step))
        elif isinstance(one, FloatDistribution) and one.step is not None:
            count = round((one.high - one.low) / one.step)
            values[parameter.name] = [float(f"{one.low + place * one.step:.12g}") for place in range(count + 1)]
        else:
            raise UserError(
                f"--sampler {text}: {parameter.name}={parameter.text} has no finite number of values; write "
                "choice(...) or range(...), or use another sampler"
            )
    return values


def use_methods(study: optuna.Study, question: Question, sampler: str, pruner: str) -> None:
    """Let `study` use them. A seed among the arguments is moved by the number of trials that there are already."""
    study.sampler = make_sampler(sampler, question.space, len(study.get_trials(deepcopy=False)))
    study.pruner = make_pruner(pruner)


def try_methods(question: Question, sampler: str, pruner: str) -> None:
    """Ask them for two trials of a study that nobody keeps. Raises UserError if they can't do this search."""
    if prunes(pruner) and len(question.objectives) > 1:
        names = ", ".join(objective.metric for objective in question.objectives)
        raise UserError(f"--pruner {pruner}: prunes by one objective, and there are several ({names}); leave it out")
    trial = optuna.create_study(
        directions=question.directions, sampler=make_sampler(sampler, question.space), pruner=make_pruner(pruner)
    )
    trial.stop = lambda: None  # type: ignore[method-assign]  # of a grid with few points
    try:
        for _ in range(2):
            asked = trial.ask(question.space.distributions)
            if len(question.objectives) == 1:
                asked.report(0.0, 1)
                asked.should_prune()
            trial.tell(asked, [0.0] * len(question.objectives))
    except (ImportError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--sampler {sampler} --pruner {pruner}: can't do this search ({reason})") from error


def prunes(pruner: str) -> bool:
    return not isinstance(make_pruner(pruner), NopPruner)
