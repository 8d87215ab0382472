"""The effect of a device's settings on torch, tested without a GPU too."""

import os
from collections.abc import Iterator

import pytest
import torch

from gan_exp.config.schema import DeviceConfig
from gan_exp.errors import UserError
from gan_exp.runtime.device import inference_device, own_settings, prepare_device


@pytest.fixture
def a_gpu_in_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[1:]


def test_denormal_numbers_are_zero() -> None:
    """Adam's moments become denormal in the networks of the mixtures, where steps took 50 % longer."""
    if not torch.set_flush_denormal(False):
        pytest.skip("this CPU has no such setting")
    assert torch.full((2,), 1e-30).mul(1e-9).count_nonzero() == 2
    prepare_device(DeviceConfig(name="cpu", index=0, threads=None, deterministic=False))
    assert torch.full((2,), 1e-30).mul(1e-9).count_nonzero() == 0


@pytest.mark.parametrize("tf32", [False, True])
def test_a_gpu_multiplies_in_float32_unless_configured(tf32: bool, a_gpu_in_name: None) -> None:
    config = DeviceConfig(
        name="cuda", index=0, threads=None, deterministic=False, precision="tf32" if tf32 else "float32"
    )
    assert prepare_device(config) == torch.device("cuda", 0)
    assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
    assert torch.backends.cudnn.allow_tf32 is tf32 and torch.backends.cudnn.benchmark


def test_a_deterministic_gpu_does_not_choose_algorithms(a_gpu_in_name: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    prepare_device(DeviceConfig(name="cuda", index=0, threads=None, deterministic=True))
    assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_settings_are_restored(a_gpu_in_name: None) -> None:
    def settings() -> list[object]:
        denormal = torch.full((2,), 1e-30).mul(1e-9).count_nonzero().item()
        cudnn = torch.backends.cudnn
        precision = torch.get_float32_matmul_precision()
        deterministic = torch.are_deterministic_algorithms_enabled()
        return [torch.get_num_threads(), denormal, deterministic, precision, cudnn.benchmark, cudnn.allow_tf32]

    for flushing in (False, True):
        torch.set_flush_denormal(flushing)
        before = settings()
        with own_settings():
            torch.set_num_threads(3)
            prepare_device(DeviceConfig(name="cuda", index=0, threads=None, deterministic=True, precision="tf32"))
            assert settings() != before
        assert settings() == before


def test_a_trained_network_computes_in_full_float32(a_gpu_in_name: None) -> None:
    torch.backends.cudnn.allow_tf32 = True
    assert inference_device("cpu") == torch.device("cpu") and torch.backends.cudnn.allow_tf32
    assert inference_device() == torch.device("cuda", 0) and not torch.backends.cudnn.allow_tf32


def test_a_missing_gpu_is_named_as_the_option_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda: no CUDA GPU can be used here; use --device cpu or"):
        inference_device("cuda")
