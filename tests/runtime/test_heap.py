"""Freed memory is kept by the process, and returned where there is much of it."""

import subprocess
import sys

import pytest

from gan_exp.runtime.heap import MUCH

# How much larger the process is when blocks of a megabyte were freed, and when they were returned.
PROGRAM = """
import sys, torch
from gan_exp.runtime.heap import keep_freed_memory, returning_freed_memory
from gan_exp.runtime.resources import resident_memory
keep_freed_memory()
with returning_freed_memory():
    before = resident_memory()
    blocks = [torch.ones(1 << 18) for _ in range(int(sys.argv[1]) >> 20)]
    last = torch.ones(1 << 18)  # behind the others, so that the heap can't shrink from its end
    del blocks
    print(resident_memory() - before)
print(resident_memory() - before)
"""


@pytest.mark.parametrize(("size", "returned"), [(MUCH + (64 << 20), True), (MUCH // 4, False)])
def test_much_freed_memory_is_returned_and_little_kept(size: int, returned: bool) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(size)], check=True, capture_output=True, text=True)
    kept, after = map(int, done.stdout.split())
    if kept < size / 2:
        pytest.skip("no glibc here: nothing is kept")
    assert (after < kept / 2) is returned
