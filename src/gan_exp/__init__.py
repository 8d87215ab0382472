"""gan-exp: train, measure and compare GANs, from one config-driven command line or from Python.

    import gan_exp

    run = gan_exp.train(["model=dcgan", "steps=2000"])
    run.grid(16)

Importing this imports neither PyTorch nor Hydra: each function brings what it needs when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gan_exp.errors import TrainingFault, UserError

if TYPE_CHECKING:
    from gan_exp.api.comparing import Comparison, compare
    from gan_exp.api.evaluating import evaluate
    from gan_exp.api.run import Run, load
    from gan_exp.api.training import resume, train
    from gan_exp.comparison.evaluations import Evaluation

__version__ = "0.1.0"

_PLACES = {
    "Comparison": "api.comparing",
    "compare": "api.comparing",
    "Evaluation": "comparison.evaluations",
    "evaluate": "api.evaluating",
    "Run": "api.run",
    "load": "api.run",
    "resume": "api.training",
    "train": "api.training",
}

__all__ = [
    "Comparison",
    "Evaluation",
    "Run",
    "TrainingFault",
    "UserError",
    "compare",
    "evaluate",
    "load",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gan_exp' has no attribute '{name}'")
    globals()[name] = found = getattr(import_module(f"gan_exp.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
