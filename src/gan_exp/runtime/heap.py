"""What glibc does with memory that was freed: kept for the next step, returned where much else is allocated.

Without glibc (musl, macOS, Windows) all of it does nothing.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MUCH = 256 << 20  # bytes: a step that leaves so many free takes long beside the milliseconds of returning them
FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"  # malloc.h: struct mallinfo2


class _Usage(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in FIELDS.split())


def keep_freed_memory() -> None:
    """Let glibc reuse large blocks of memory instead of returning them to the kernel.

    Activations and gradients are freed and allocated again every step; the page faults of fresh memory took nearly half
    of the article's step.
    """
    mmap_threshold, trim_threshold, gibibyte = -3, -1, 1 << 30  # malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, gibibyte)
        libc.mallopt(trim_threshold, gibibyte)


@contextmanager
def returning_freed_memory() -> Iterator[None]:
    """Around what allocates blocks of other sizes than a step: they don't fit into the gaps that it leaves.

    So the process takes the larger of both at its peak, and not their sum.
    """
    _return_freed_memory()
    try:
        yield
    finally:
        _return_freed_memory()


def _return_freed_memory() -> None:
    """To the kernel, if there is much."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallinfo2.restype = _Usage  # since glibc 2.33
        if libc.mallinfo2().fordblks >= MUCH:
            libc.malloc_trim(0)
