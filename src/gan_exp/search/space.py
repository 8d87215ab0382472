"""The words of a search: those with several values are its parameters, all others hold for every trial."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gan_exp.config.catalog import groups
from gan_exp.config.overrides import for_hydra
from gan_exp.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import IntervalSweep, Override

MOST_CHOICES = 1000
# Keys that can't be searched, and why.
REFUSED = {
    "seed": "a seed is a repeat, not a choice: --seeds 5 trains each configuration with five seeds and takes the mean",
    "dataset": "scores on different data can't be compared; search each data set on its own",
    "best_metric": "the metric is the question, not a part of the answer: --metric names it",
    "evaluate_count": "scores of different numbers of samples can't be compared; choose one number",
    "evaluate_every_steps": "it decides when a trial can be pruned, not how good it is; choose one number",
    "name": "it changes nothing that could be measured",
    "display": "it changes nothing that could be measured",
}


@dataclass(frozen=True)
class Parameter:
    """A key and its distribution; `text` is what the user wrote. Choices are texts, as Hydra reads them."""

    key: str  # with the + before it, if there is one
    distribution: BaseDistribution
    text: str

    @property
    def name(self) -> str:
        return self.key.lstrip("+")

    def word(self, value: Any) -> str:
        return f"{self.key}={value}"

    def ends(self) -> list[Any]:
        """The values to try before a search begins: every choice, or both ends of a range."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return list(distribution.choices)
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        return [distribution.low, distribution.high]

    def in_whole_numbers(self) -> "Parameter | None":
        """The same range of whole numbers; None if it is none or its ends are none."""
        range_ = self.distribution
        if not isinstance(range_, FloatDistribution) or range_.step is not None:
            return None
        if range_.low % 1 or range_.high % 1:
            return None
        return Parameter(self.key, IntDistribution(int(range_.low), int(range_.high), log=range_.log), self.text)


@dataclass(frozen=True)
class Space:
    parameters: tuple[Parameter, ...]
    constants: tuple[str, ...]  # words that hold for every trial

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {parameter.name: parameter.distribution for parameter in self.parameters}

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """All words of the trial with these values."""
        return [*self.constants, *self.own_words(values)]

    def own_words(self, values: Mapping[str, Any]) -> list[str]:
        return [parameter.word(values[parameter.name]) for parameter in self.parameters]


def parse_space(words: Sequence[str], config_dirs: Sequence[Path] = ()) -> Space:
    """Raises UserError for a word that can't be read, an empty range, or a key that can't be searched."""
    parameters: dict[str, Parameter] = {}
    constants: dict[str, str] = {}
    for word in words:
        key, _, text = word.partition("=")
        name = key.lstrip("+")
        if name.lstrip("~").startswith("hydra"):
            raise UserError(f"{word}: belongs to Hydra, which trains no trial; runs are in the search's own directory")
        if name in parameters or name in constants:
            raise UserError(f"{word}: {name} is given twice; give it once")
        distribution = _distribution(word, config_dirs)
        if distribution is None:
            constants[name] = for_hydra(word, sweeping=False)
        else:
            _refuse_unsearchable(word, name)
            parameters[name] = Parameter(key, distribution, text)
    return Space(tuple(parameters.values()), tuple(constants.values()))


def _refuse_unsearchable(word: str, name: str) -> None:
    reason = REFUSED.get(name) or (REFUSED["dataset"] if name.startswith("dataset.") else None)
    if reason is not None:
        raise UserError(f"{word}: can't be searched: {reason}")


def _distribution(word: str, config_dirs: Sequence[Path]) -> BaseDistribution | None:
    """None for a word with a single value."""
    if "=" not in word and not word.startswith("~"):
        raise UserError(f"{word}: must be written key=value or key=range, such as lr='log(1e-5,1e-2)'")
    try:
        override = _parser().parse_override(for_hydra(word, sweeping=True))
        return _range_of(word, override, config_dirs) if override.is_sweep_override() else None
    except UserError:
        raise
    except Exception as error:  # of Hydra, its parser, OmegaConf, or Python's own
        raise UserError(_unreadable(word, error)) from error


def _range_of(word: str, override: "Override", config_dirs: Sequence[Path]) -> BaseDistribution:
    from hydra.core.override_parser.types import Glob, IntervalSweep, RangeSweep

    value = override._value
    if isinstance(value, IntervalSweep):
        return _continuous(word, value)
    if isinstance(value, Glob):
        return _choices(word, value.filter(list(groups(config_dirs).get(override.key_or_group, {}))))
    if isinstance(value, RangeSweep):
        return _stepped(word, list(islice(override.sweep_iterator(), MOST_CHOICES + 1)))
    return _choices(word, [_text(element) for element in override.sweep_iterator()])


def _text(element: Any) -> str:
    """As a word of the command line has it."""
    from hydra.core.override_parser.types import Transformer

    return str(element).lower() if isinstance(element, bool) else str(Transformer.str(element))


def _parser() -> Any:
    """Hydra's, with one more function: log(low, high), which is short for tag(log, interval(low, high))."""
    from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
    from hydra.core.override_parser.types import IntervalSweep

    def log(start: int | float, end: int | float) -> IntervalSweep:
        return IntervalSweep(start=float(start), end=float(end), tags={"log"})

    functions = create_functions()
    functions.register("log", log)
    return OverridesParser(functions)


def _unreadable(word: str, error: Exception) -> str:
    if "empty choice" in str(error):
        return f"{word}: is empty; name the values to choose from, such as choice(mlp,dcgan)"
    reason = re.sub(r".*?(?=Unknown function)|^\w+ while evaluating '.*': ", "", " ".join(str(error).split()))
    return (
        f"{word}: can't be read ({reason}); a range is written log(1e-5,1e-2), interval(0,1), range(1,9,2) or "
        "choice(a,b), in quotes for the shell"
    )


def _continuous(word: str, value: "IntervalSweep") -> BaseDistribution:
    low, high = value.start, value.end
    assert low is not None and high is not None
    other = sorted(value.tags - {"log"})
    if other:
        raise UserError(f"{word}: {', '.join(other)}: the only tag is log")
    if not (float("-inf") < low < high < float("inf")):
        what = "holds a single value" if low == high else "is empty"
        raise UserError(f"{word}: {what}; the first end must lie below the second")
    log = "log" in value.tags
    if log and low <= 0:
        raise UserError(f"{word}: a range on a logarithmic scale must begin above 0")
    if isinstance(low, int) and isinstance(high, int):  # int(interval(1,9))
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _stepped(word: str, values: list[Any]) -> BaseDistribution:
    """range(1,9,2) has the values that it has in a sweep: without its end."""
    if not values:
        raise UserError(f"{word}: is empty; range(a,b) holds the numbers from a to below b")
    if len(values) > MOST_CHOICES:
        raise UserError(f"{word}: has more than {MOST_CHOICES} values; interval(a,b) needs no steps")
    if len(values) == 1:
        raise UserError(f"{word}: holds a single value; write {word.partition('=')[0]}={values[0]}")
    values = sorted(values)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(values[0], values[-1], step=values[1] - values[0])
    low, high, step = (float(f"{value:.12g}") for value in (values[0], values[-1], values[1] - values[0]))
    return FloatDistribution(low, high, step=step)


def _choices(word: str, texts: list[str]) -> BaseDistribution:
    if not texts:
        raise UserError(f"{word}: is empty; name the values to choose from, such as choice(mlp,dcgan)")
    unique = list(dict.fromkeys(texts))
    if len(unique) == 1:
        raise UserError(f"{word}: holds a single value; write {word.partition('=')[0]}={unique[0]}")
    return CategoricalDistribution(unique)
