import sys

import optuna
import pytest

from gan_exp.errors import UserError
from gan_exp.search.named import make_pruner, make_sampler, prunes, try_methods
from gan_exp.search.objective import parse_objectives
from gan_exp.search.space import parse_space
from gan_exp.search.study import Question

SPACE = parse_space(["lr=log(1e-5,1e-2)", "model=choice(mlp,dcgan)"])


def ask(metric: str = "fid") -> Question:
    return Question(SPACE, parse_objectives(metric))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("tpe", optuna.samplers.TPESampler),
        ("TPESampler", optuna.samplers.TPESampler),
        ("tpe(n_startup_trials=5, multivariate=true)", optuna.samplers.TPESampler),
        ("random(seed=1)", optuna.samplers.RandomSampler),
        ("gp", optuna.samplers.GPSampler),
        ("nsgaii", optuna.samplers.NSGAIISampler),
        ("qmc", optuna.samplers.QMCSampler),
        ("partial_fixed({'lr': 1e-3}, tpe(seed=1))", optuna.samplers.PartialFixedSampler),
    ],
)
def test_samplers(text: str, kind: type) -> None:
    assert isinstance(make_sampler(text, SPACE), kind)
    try_methods(ask(), text, "nop")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("median", optuna.pruners.MedianPruner),
        ("MedianPruner(n_startup_trials=3)", optuna.pruners.MedianPruner),
        ("percentile(25.0)", optuna.pruners.PercentilePruner),
        ("hyperband(min_resource=2)", optuna.pruners.HyperbandPruner),
        ("patient(median(), patience=2)", optuna.pruners.PatientPruner),
        ("successive_halving", optuna.pruners.SuccessiveHalvingPruner),
    ],
)
def test_pruners(text: str, kind: type) -> None:
    assert isinstance(make_pruner(text), kind) and prunes(text)
    try_methods(ask(), "random", text)


def test_no_pruner() -> None:
    assert not prunes("nop")


@pytest.mark.parametrize(
    ("sampler", "sentence"),
    [
        ("tp", "there is none called tp; did you mean tpe?"),
        ("annealing", "there is none called annealing; known are "),
        ("tpe(", "must be written name"),
        ("os.system('ls')", "must be written name"),
        ("tpe(seed=os.sep)", "os.sep is no plain value"),
        ("tpe(sed=1)", "unexpected keyword argument 'sed'"),
        ("nsgaii(population_size=1)", "population_size"),
        ("base", "there is none called base"),
        ("grid", "lr=log(1e-5,1e-2) has no finite number of values"),
    ],
)
def test_refused_samplers(sampler: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        make_sampler(sampler, SPACE)
    assert str(refused.value).startswith(f"--sampler {sampler}: ") and sentence in str(refused.value)


@pytest.mark.parametrize(("pruner", "sentence"), [("medain", "did you mean median?"), ("threshold", "lower or upper")])
def test_refused_pruners(pruner: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_pruner(pruner)


def test_a_sampler_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(UserError, match=r"--sampler cmaes.*cmaes"):
        try_methods(ask(), "cmaes", "nop")


def test_pruning_needs_one_objective() -> None:
    with pytest.raises(UserError, match=r"--pruner median: prunes by one objective.*fid, seconds"):
        try_methods(ask("fid,seconds"), "tpe", "median")


def test_a_seed_is_moved() -> None:
    """Two processes with the same seed would draw the same values."""

    def first(offset: int) -> float:
        study = optuna.create_study(sampler=make_sampler("random(seed=1)", SPACE, offset))
        return float(study.ask(SPACE.distributions).params["lr"])

    assert first(0) == first(0) != first(3)


def test_the_grid_is_that_of_the_space() -> None:
    space = parse_space(["lr=choice(1e-3,1e-4)", "pac=range(1,4)", "instance_noise=range(0,0.3,0.1)"])
    sampler = make_sampler("grid", space)
    assert isinstance(sampler, optuna.samplers.GridSampler)
    assert len(sampler._all_grids) == 2 * 3 * 3
