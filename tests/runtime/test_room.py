"""Where float64 numbers are computed."""

import torch

from gan_exp.runtime.room import in_float64


def test_a_gpu_computes_where_it_can_and_has_room() -> None:
    tried: list[str] = []

    def compute(device: torch.device, room: bool = True) -> str:
        tried.append(device.type)
        if device.type == "cuda" and not room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return device.type

    assert [in_float64(device, compute) for device in ("cuda", "cpu", "mps")] == ["cuda", "cpu", "cpu"]
    tried.clear()
    assert in_float64("cuda", lambda device: compute(device, room=False)) == "cpu" and tried == ["cuda", "cpu"]
