"""Defaults of root keys that depend on the model: conf/config.yaml has ${gan_exp.usual:KEY,${model.name}} there."""

# About two minutes on two cores with 28x28 images (docs/configuration.md: how they were found).
USUAL: dict[str, float] = {"steps": 5000, "batch_size": 32, "lr": 2e-3}
USUAL_OF: dict[str, dict[str, float]] = {"mlp": {"steps": 8000, "batch_size": 64, "lr": 1e-3}}


def usual(key: str, model: str) -> float:
    """The default of `key` for the model of this name."""
    return {**USUAL, **USUAL_OF.get(model, {})}[key]
