"""The code that torch's compiler writes for a GPU, on a machine that has none: nothing of it is run.

What the compiler asks of CUDA is answered as an H100 would. Its choices by timing are left out.
"""

import copy
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, fx

GPU = torch.device("cuda", 0)
H100 = SimpleNamespace(
    name="NVIDIA H100 80GB HBM3", major=9, minor=0, multi_processor_count=132, warp_size=32, total_memory=80 * 2**30,
    regs_per_multiprocessor=65536, max_threads_per_multi_processor=2048, max_threads_per_block=1024,
    L2_cache_size=50 * 2**20, shared_memory_per_block_optin=232448, shared_memory_per_multiprocessor=233472,
    gcnArchName="",
)  # fmt: skip
CALL = re.compile(r"^\s+(?:\S+ = )?(triton|extern_kernels|torch\.ops\.\w+|aten)[_.][\w.]*\(", re.MULTILINE)
KERNEL = re.compile(r"= async_compile\.triton\('(\w+)', \'\'\'(.*?)\'\'\', device_str='cuda'\)", re.DOTALL)

_tensor = torch.tensor


class _Written(BaseException):
    """The code is there, and shall not be compiled."""


def gpu_code(graph: fx.GraphModule, examples: Sequence[Tensor]) -> str:
    """For a graph that was traced on the CPU with these inputs."""
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx
    from torch._inductor.graph import GraphLowering
    from torch._subclasses.fake_tensor import FakeTensorMode

    graph = fx.GraphModule({}, copy.deepcopy(graph.graph))
    _move(graph)
    with FakeTensorMode() as mode:
        inputs = [torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=GPU) for x in examples]
    found: list[str] = []

    def stop(code: str) -> None:
        found.append(code)
        raise _Written

    without_timing = {"joint_graph_constant_folding": False, "shape_padding": False}
    options = config.patch(fx_graph_cache=False, compile_threads=1, **without_timing)
    with pretended(), mock.patch.object(GraphLowering, "save_output_code", stop), options, mode, torch.no_grad():
        try:
            compile_fx(graph, inputs)  # type: ignore[arg-type]
        except _Written:
            return found[0]
    raise RuntimeError("the compiler wrote nothing")


def calls(code: str) -> Counter[str]:
    """What the code starts on the GPU: `fused` kernels of its own, and `library` calls, such as convolutions."""
    body = code[code.index("def call(self, args)") : code.index("\nrunner = Runner(")]
    found = Counter("fused" if match == "triton" else "library" for match in CALL.findall(body))
    return Counter(fused=found["fused"], library=found["library"])


def compile_kernels(code: str) -> int:
    """Compiles the code's own kernels for an H100, in all variants that would be timed there; returns their number."""
    from torch._inductor import config
    from torch._inductor.codecache import PyCodeCache
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.driver import CudaDriver
    from triton.runtime.driver import driver

    class Absent(CudaDriver):  # type: ignore[misc]
        def __init__(self) -> None: ...

        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", 90, 32)

    found = KERNEL.findall(code)
    with pretended(), config.patch(compile_threads=1), mock.patch.object(driver, "_active", Absent()):
        for name, source in found:
            getattr(PyCodeCache.load(source), name).precompile(warm_cache_only=True)
    return len(found)


def _move(graph: fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        node.args = tuple(GPU if isinstance(each, torch.device) else each for each in node.args)
        options = {key: value for key, value in node.kwargs.items() if key != "pin_memory"}
        node.kwargs = {key: GPU if isinstance(value, torch.device) else value for key, value in options.items()}
    graph.recompile()


@contextmanager
def pretended() -> Iterator[None]:
    """CUDA answers as if there was an H100, but computes nothing."""
    from torch._dynamo.device_interface import CudaInterface

    answers: dict[str, Any] = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.get_device_properties": lambda *_: H100,
        "torch.cuda.get_device_capability": lambda *_: (9, 0),
        "torch.cuda._lazy_init": lambda: None,
        "torch.cuda._exchange_device": lambda index: 0,
        "torch.cuda._maybe_exchange_device": lambda index: 0,
        "torch.cuda.get_rng_state": lambda *_: torch.zeros(1),
        "torch.cuda.set_rng_state": lambda *_: None,
        "torch.utils._triton.triton_hash_with_backend": lambda: "",
        "torch.tensor": _number,
    }
    of_interface: dict[str, Any] = {
        "is_available": lambda: True,
        "get_device_properties": lambda *_: H100,
        "get_compute_capability": lambda *_: 90,
        "is_triton_capable": lambda *_: True,
        "raise_if_triton_unavailable": lambda *_: None,
    }
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch(name, answer))
        for name, answer in of_interface.items():
            stack.enter_context(mock.patch.object(CudaInterface, name, staticmethod(answer)))
        worker = CudaInterface.Worker
        stack.enter_context(mock.patch.object(worker, "get_device_properties", staticmethod(lambda *_: H100)))
        yield


def _number(value: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
    """torch.tensor, in an operation that can be traced without a GPU."""
    if device is None or torch.device(device).type != "cuda":
        return _tensor(value, dtype=dtype, device=device, **options)
    return torch.full((), value, dtype=dtype, device=device)
