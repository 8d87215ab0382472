"""Made-up records for the doctor: those of a healthy run, with changes."""

from collections.abc import Callable, Iterator, Mapping

Value = float | Callable[[int], float]  # of the grid's number

HEALTHY: dict[str, Value] = {
    "loss/discriminator": 1.2,
    "loss/generator": 0.9,
    "accuracy/real": 0.7,
    "accuracy/fake": 0.7,
    "gradient_norm/discriminator": 2.0,
    "gradient_norm/generator": 2.0,
    "samples/spread": 0.9,
    "samples/variety": 0.8,
    "samples/classes": 0.9,
    "samples/texture": 0.1,
    "samples/duplicates": 0.0,
    "samples/copies": 0.02,
    "samples/distance": lambda k: 0.5 / (k + 1),
    "samples/change": lambda k: 0.6 / (k + 1),
}


def story(grids: int = 10, every: int = 100, logs: int = 1, **changes: Value) -> Iterator[dict[str, float]]:
    """Records in the order of a run: for each grid but the first `logs` logged means, then the grid's evidence.

    Names of `changes` are tags with two underscores for the slash.
    """
    tags = {**HEALTHY, **{tag.replace("__", "/"): value for tag, value in changes.items()}}
    for k in range(grids):
        values = {tag: value(k) if callable(value) else value for tag, value in tags.items()}
        for log in range(logs if k else 0):
            step = (k - 1) * every + (log + 1) * every // logs
            yield {"step": step, **_of(values, "loss", "accuracy", "gradient_norm", "penalty")}
        if k == 0:
            values.pop("samples/change", None)
        yield {"step": k * every, **_of(values, "samples", "discriminator")}
        evaluation = _of(values, "evaluation")
        if k and evaluation:
            yield {"step": k * every, **evaluation}


def _of(values: Mapping[str, float], *groups: str) -> dict[str, float]:
    return {tag: value for tag, value in values.items() if tag.split("/")[0] in groups}
