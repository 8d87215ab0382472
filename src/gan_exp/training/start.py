"""A new run starts from the weights of another: what fits is copied, and the rest begins untrained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.runs.checkpoint import class_names, data_content, load_checkpoint, load_newest
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import expand_user
from gan_exp.training.state import TrainingState

LEAST = 0.1  # of G's weights: with less, the run would start from nearly nothing
MOST_NAMED = 3


class Taken(NamedTuple):
    """`record` is for environment.json; `lines` tell of it."""

    record: dict[str, Any]
    lines: list[str]


NOTHING = Taken({}, [])


class _Fit(NamedTuple):
    copied: int  # weights, of `total`
    total: int
    others: list[str]  # tensors that don't fit, and how
    whole: bool  # all is copied, row by row


def take_over(config: Config, state: TrainingState, data: PackedImages) -> Taken:
    """Copy into `state` what `config.start_from` names and `config.start_keep` says. Raises UserError if little fits.

    Steps, images and schedules begin at 0. Tensors fit by name and shape, and the rows of an embedding of classes by
    the classes' names.
    """
    if config.start_from is None:
        return NOTHING
    path, content = _read(config.start_from)
    rows = _rows(content, data) if config.conditional else []
    fits = {name: _copy(network, content.get(name, {}), rows) for name, network in state.networks.items()}
    share = fits["generator"].copied / max(1, fits["generator"].total)
    if share < LEAST:
        raise UserError(
            f"start_from={config.start_from}: only {share:.0%} of the generator's weights fit this run's generator "
            f"({_some(fits['generator'].others)}); choose the model and the image size of that run"
        )
    lines = [f"start: from {path} at step {content['step']}, with the weights of generator and discriminator"]
    lines += [_partly(name, fit) for name, fit in fits.items() if fit.others]
    if rows:
        lines += _about_classes(rows, content, data)
    lines += _take_rest(config, state, content, rows, fits)
    record = {"run": str(path), "step": content["step"], "data_digest": content.get("data_digest")}
    return Taken({"start": record}, lines)


def _read(name: str) -> tuple[Path, dict[str, Any]]:
    file = expand_user(name, "start_from")
    if file.is_file():
        return file.resolve(), load_checkpoint(file)
    run = RunDir.open(name)
    return run.path, load_newest(run)[0]


def _rows(content: Mapping[str, Any], data: PackedImages) -> list[tuple[int, int]]:
    """(class here, class there) of each class that both have, by name."""
    there = {name: number for number, name in enumerate(class_names(dict(content)))}
    here = class_names(data_content(data))
    return [(number, there[name]) for number, name in enumerate(here) if name in there]


def _about_classes(rows: list[tuple[int, int]], content: Mapping[str, Any], data: PackedImages) -> list[str]:
    known = {number for number, _ in rows}
    new = [name for number, name in enumerate(class_names(data_content(data))) if number not in known]
    dropped = content.get("num_classes", 0) - len(rows)
    if not new and not dropped:
        return []
    return [
        f"classes: {len(rows)} by their names"
        + (f"; {len(new)} {'begin' if len(new) > 1 else 'begins'} untrained ({_some(new)})" if new else "")
        + (f"; {dropped} of that run are left" if dropped else "")
    ]


def _copy(network: nn.Module, weights: Mapping[str, Tensor], rows: list[tuple[int, int]]) -> _Fit:
    own = network.state_dict()
    trained = {name for name, _ in network.named_parameters()}
    tables = tuple(f"{name}." for name, layer in network.named_modules() if isinstance(layer, nn.Embedding))
    result, others, copied, whole = dict(own), [], 0, True
    for name, tensor in own.items():
        given = weights.get(name)
        of_classes = name.startswith(tables) and name in trained
        if given is None:
            others.append(f"{name} is new")
        elif of_classes and given.shape[1:] == tensor.shape[1:]:
            result[name] = _with_rows(tensor, given, rows)
            copied += len(rows) * tensor[0].numel()
            whole = whole and [(n, n) for n in range(len(tensor))] == rows and len(given) == len(tensor)
        elif given.shape == tensor.shape:
            result[name] = given
            copied += tensor.numel() if name in trained else 0
        elif name in trained:
            others.append(f"{name} is {_size(tensor)} here, {_size(given)} there")
        else:
            whole = False  # a buffer that belongs to a weight of another shape
    network.load_state_dict(result)
    return _Fit(copied, sum(own[name].numel() for name in trained), others, whole and not others)


def _with_rows(tensor: Tensor, given: Tensor, rows: list[tuple[int, int]]) -> Tensor:
    result = tensor.clone()
    here, there = (torch.tensor([pair[side] for pair in rows], dtype=torch.long) for side in (0, 1))
    result[here.to(result.device)] = given[there].to(result)
    return result


def _take_rest(
    config: Config,
    state: TrainingState,
    content: Mapping[str, Any],
    rows: list[tuple[int, int]],
    fits: Mapping[str, _Fit],
) -> list[str]:
    """The average, the optimizers and ADA's p, each if it is kept; what is not kept begins anew."""
    keep = config.start_keep
    kept: list[str] = []
    anew: list[str] = []
    if state.averages:
        taken = "average" in keep and "generator_ema" in content
        if taken:
            _copy(state.generator_ema, content["generator_ema"], rows)
        else:
            state.generator_ema.load_state_dict(state.generator.state_dict())
        (kept if taken else anew).append("average")
    before = content.get("config", {}).get("optimizer", {})
    for name, fit in fits.items():
        now = getattr(config.optimizer, name)["_target_"]
        taken = "optimizers" in keep and fit.whole and before.get(name, {}).get("_target_") == now
        if taken:
            optimizer = getattr(state, f"{name}_optimizer")
            moments = content[f"{name}_optimizer"]["state"]
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        (kept if taken else anew).append(f"{name}'s optimizer")
    if state.augment is not None and state.augment.state_dict():
        taken = "augment" in keep and content.get("augment", {}).keys() == state.augment.state_dict().keys()
        if taken:
            state.augment.load_state_dict(content["augment"])
        (kept if taken else anew).append("augmentation's p")
    parts = [f"{verb} {', '.join(names)}" for names, verb in ((kept, "keeps"), (anew, "begins anew with")) if names]
    return [f"start: {'; '.join(parts)} (start_keep=[{','.join(keep)}])"]


def _partly(name: str, fit: _Fit) -> str:
    return f"start: {fit.copied / max(1, fit.total):.0%} of the {name}'s weights fit ({_some(fit.others)})"


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + rest
