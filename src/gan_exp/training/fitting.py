"""Which changes of the settings would let a run fit into less memory."""

from collections.abc import Callable, Iterator

from gan_exp.config.parts import batch_norm_of
from gan_exp.config.schema import Config
from gan_exp.runtime.resources import in_words
from gan_exp.training.state import TrainingState

LEAST_WIDTH = 4

Needed = Callable[[Config], int | None]  # the bytes that a run with these settings needs; None if that isn't known


def remedies(config: Config, state: TrainingState, rows: int, limit: int, bf16: bool, needed: Needed) -> str:
    """The settings with which a run would need less than `limit`, in half a sentence.

    `rows` are a process's images. `bf16`: whether the device multiplies bfloat16 numbers, and the settings allow them.
    """
    found = []
    halved = _halved(config) if bf16 else iter(())
    for candidates in (_micro_batches(config, state, rows), halved, _recomputed(config), _narrower(config)):
        for words, changed in candidates:
            need = needed(changed)
            if need is None:
                break
            if need <= limit:
                found.append(f"{words} (about {in_words(need)})")
                break
    if found:
        return _alternatives(found)
    smaller = next(
        (f"a smaller dataset.{key}" for key in ("size", "resize") if key in config.dataset), "smaller images"
    )
    return f"a smaller batch_size (now {config.batch_size}), narrower networks or {smaller}"


def _alternatives(found: list[str]) -> str:
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"


def _micro_batches(config: Config, state: TrainingState, rows: int) -> Iterator[tuple[str, Config]]:
    """From the largest to the smallest; BatchNorm needs more than one sample."""
    least = config.pac * (2 if any(batch_norm_of(network) for network in state.networks.values()) else 1)
    size = min(rows, config.micro_batch_size or rows)
    while size % 2 == 0 and size // 2 >= least and size // 2 % config.pac == 0:
        size //= 2
        yield f"micro_batch_size={size}", config.model_copy(update={"micro_batch_size": size})


def _halved(config: Config) -> Iterator[tuple[str, Config]]:
    """Activations of half the size."""
    if config.device.precision != "bf16":
        device = config.device.model_copy(update={"precision": "bf16"})
        yield "device.precision=bf16", config.model_copy(update={"device": device})


def _recomputed(config: Config) -> Iterator[tuple[str, Config]]:
    if not config.model.checkpointing:
        model = config.model.model_copy(update={"checkpointing": True})
        yield "model.checkpointing=true", config.model_copy(update={"model": model})


def _narrower(config: Config) -> Iterator[tuple[str, Config]]:
    """Both networks half as wide, a quarter as wide, ..."""
    nodes = {name: getattr(config.model, name) for name in ("generator", "discriminator")}
    if not all(isinstance(node.get("width"), int) for node in nodes.values()):
        return
    share = 2
    while all(node["width"] // share >= LEAST_WIDTH for node in nodes.values()):
        narrowed, words = {}, []
        for name, node in nodes.items():
            widths = {
                key: max(node[key] // share, 1) for key in ("width", "max_width") if isinstance(node.get(key), int)
            }
            narrowed[name] = {**node, **widths}
            words += [f"model.{name}.{key}={value}" for key, value in widths.items()]
        yield " ".join(words), config.model_copy(update={"model": config.model.model_copy(update=narrowed)})
        share *= 2
