"""Optimizers compute the same without torch's compiler."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from gan_exp.optimizers import KerasAdam
from gan_exp.runtime import no_compiler
from gan_exp.runtime.no_compiler import leave_compiler_out

KINDS = (SGD, Adam, AdamW, RMSprop)


@pytest.fixture(autouse=True)
def as_torch_has_them(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiler counts as missing, whatever other tests have imported; afterwards the methods are as before."""
    monkeypatch.setattr(no_compiler, "COMPILER", "no_such_module")
    before = [(kind, dict(vars(kind))) for kind in (Optimizer, *KINDS)]
    yield
    for kind, methods in before:
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad", "step"):
            if name in methods:
                setattr(kind, name, methods[name])


def three_steps(kind: type[Any], **options: Any) -> list[Tensor]:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimizer = kind(network.parameters(), lr=0.1, **options)
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    again = kind(network.parameters(), lr=0.1, **options)
    again.load_state_dict(optimizer.state_dict())
    again.step()
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in network.parameters())
    return [parameter.detach() for parameter in network.parameters()]


@pytest.mark.parametrize("kind", [*KINDS, KerasAdam])
def test_steps_are_the_same(kind: type[Optimizer]) -> None:
    options = {} if kind is RMSprop else {"fused": True}
    usual = three_steps(kind, **options)
    leave_compiler_out(kind)
    leave_compiler_out(kind)  # as for G and for D
    for before, now in zip(usual, three_steps(kind, **options), strict=True):
        assert torch.equal(before, now)
    assert Optimizer.state_dict is inspect.unwrap(Optimizer.state_dict)


def test_nothing_changes_where_the_compiler_is_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(no_compiler, "COMPILER", "sys")
    before = Adam.step, Optimizer.state_dict
    leave_compiler_out(Adam)
    assert (Adam.step, Optimizer.state_dict) == before


def test_hooks_are_called() -> None:
    leave_compiler_out(SGD)
    optimizer, called = SGD([torch.ones(1, requires_grad=True)], lr=1.0), []
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    optimizer.step()
    assert called
