"""What the long tests train can be trained: they run seldom, and words go out of date."""

import pytest

from crash.processes import words_for
from crash.test_crash_long import CONFIGURATIONS
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.config.contradictions import refuse_new


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_is_not_refused(name: str) -> None:
    model, steps, *overrides = CONFIGURATIONS[name]
    refuse_new(check(compose(words_for(model, *overrides, steps=steps)).plain))
