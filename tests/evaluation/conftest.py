"""Evaluations here train no classifier to its end."""

import pytest


@pytest.fixture(autouse=True)
def classifier(quick_classifier: None) -> None: ...
