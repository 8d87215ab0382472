"""Kernels are counted in the code that torch's compiler writes for a GPU, without one."""

from collections import Counter

import pytest
import torch
from benchmarks.speed.gpu.inductor import calls, compile_kernels, gpu_code
from benchmarks.speed.gpu.kernels import Launches, count
from benchmarks.speed.gpu.package import ARTICLE
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

WRITTEN = """
triton_poi_fused_add_0 = async_compile.triton('triton_poi_fused_add_0', '''
    tl.store(out_ptr0 + (x0), tmp2, xmask)
''')
    def call(self, args):
        buf0 = empty_strided_cuda((4, 4), (4, 1), torch.float32)
        extern_kernels.mm(arg0_1, arg1_1, out=buf0)
        buf1 = extern_kernels.convolution(buf0, arg2_1, stride=(1, 1))
        triton_poi_fused_add_0.run(buf0, buf1, 16, stream=raw_stream0)
        triton_poi_fused_add_0.run(buf1, buf1, 16, stream=raw_stream0)
        buf2 = torch.ops.aten._foreach_norm.Scalar([buf0, buf1])
        buf3 = reinterpret_tensor(buf1, (16, ), (1, ), 0)
        del arg0_1
        return (buf1, )

runner = Runner(partitions=[])
"""


def test_calls_are_counted_and_not_what_is_defined_or_viewed() -> None:
    assert calls(WRITTEN) == {"fused": 2, "library": 3}


def test_operations_that_only_view_start_nothing() -> None:
    numbers = torch.ones(2, 3)
    with Launches() as launches:
        numbers.view(6).unsqueeze(0).add_(torch.empty(6)).t().sum()
        with launches.pause():
            numbers.sum()
    assert launches.found == Counter({"aten::add_": 1, "aten::sum": 1})


@pytest.mark.slow
def test_the_code_for_a_gpu_is_written_without_one() -> None:
    """The activation of a product and what is added in place are one kernel."""
    pytest.importorskip("triton")
    total = torch.zeros(64, 64)

    def step(numbers: Tensor, kept: Tensor) -> list[Tensor]:
        product = (numbers @ numbers).relu()
        kept.add_(product)
        return [product * 2]

    numbers = torch.randn(64, 64)
    graph = make_fx(step)(numbers, total)
    total.zero_()
    code = gpu_code(graph, [numbers, total])
    assert "device_str='cuda'" in code and calls(code) == {"fused": 1, "library": 1}
    assert compile_kernels(code) == 1
    assert not total.any() and not torch.cuda.is_available()


@pytest.mark.slow
def test_a_compiled_step_has_fewer_kernels() -> None:
    pytest.importorskip("triton")
    found = count(ARTICLE.narrow(), "float32")
    assert 15 < found.library < 50 and found.beside == 0
    assert found.fused + found.library < 0.75 * found.plain
    assert min(found.trace_seconds, found.write_seconds, found.compile_seconds) > 0
