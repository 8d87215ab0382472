"""A look at the ends of every range before a search begins, so that a mistake is refused and not searched."""

from dataclasses import replace

from gan_exp.errors import UserError
from gan_exp.search.space import Parameter, Space
from gan_exp.search.trial import Setting, trial_config

INSIDE = 0.31830988  # a place in a range that is no whole number


def checked_setting(setting: Setting) -> Setting:
    """The setting with whole numbers for keys that take nothing else.

    Each end of each range, and each choice, is tried beside the first of all others. Raises UserError for one that
    makes no configuration.
    """
    space = setting.question.space
    first = {parameter.name: parameter.ends()[0] for parameter in space.parameters}
    trial_config(setting, space.words(first))
    parameters = []
    for parameter in space.parameters:
        for value in parameter.ends()[1:]:
            trial_config(setting, space.words({**first, parameter.name: value}))
        parameters.append(_whole(setting, parameter, first))
    return replace(setting, question=replace(setting.question, space=replace(space, parameters=tuple(parameters))))


def _whole(setting: Setting, parameter: Parameter, first: dict[str, object]) -> Parameter:
    whole = parameter.in_whole_numbers()
    if whole is None:
        return parameter
    low, high = parameter.ends()
    words: Space = setting.question.space
    try:
        trial_config(setting, words.words({**first, parameter.name: low + (high - low) * INSIDE}))
    except UserError:
        return whole
    return parameter
