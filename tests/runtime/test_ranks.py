"""What a program of one process does not exchange, and which rows a rank has."""

import subprocess
import sys

import pytest
import torch

from gan_exp.runtime.joining import join
from gan_exp.runtime.ranks import ALONE, Ranks


def test_alone_everything_stays_as_it_is() -> None:
    tensor = torch.ones(3)
    ALONE.sum_([tensor])
    ALONE.broadcast_([tensor])
    ALONE.barrier()
    assert tensor.tolist() == [1, 1, 1] and ALONE.gather(tensor) is tensor
    assert ALONE.any(True) and not ALONE.any(False) and ALONE.agree(15) == ALONE.largest(15) == 15
    assert ALONE.first and ALONE.broadcast({"a": 1}) == {"a": 1} and ALONE.rows(5) == slice(0, 5)


def test_rows_of_a_whole_batch() -> None:
    rows = [row for rank in range(4) for row in list(range(8))[Ranks(rank, 4).rows(8)]]
    assert rows == list(range(8))
    with pytest.raises(ValueError, match="6 rows can't be divided evenly among 4 processes"):
        Ranks(0, 4).rows(6)


def test_alone_nothing_heavy_is_imported() -> None:
    with join() as ranks:
        assert ranks is ALONE
    code = "from gan_exp.runtime.joining import join\nwith join(): pass\nimport sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
