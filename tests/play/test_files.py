import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gan_exp.play.files import LARGEST, read_latent

NUMBERS = [0.5, -1.0, 2.0]


def packed(write: Callable[..., Any], *arrays: Any, **named: Any) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *arrays, **named)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "label"),
    [
        (json.dumps({"latent": NUMBERS, "label": 1, "run": "x"}).encode(), 1),
        (json.dumps({"latent": NUMBERS, "label": 2}).encode(), None),  # of a run with more classes
        (json.dumps({"latent": NUMBERS, "label": None}).encode(), None),
        (packed(np.save, np.array(NUMBERS)), None),
        (packed(np.savez, latent=np.array(NUMBERS, dtype=np.float32), label=np.asarray(1)), 1),
        (packed(np.savez_compressed, latent=np.array(NUMBERS), error=np.asarray(0.1)), None),
    ],
)
def test_a_latent_is_read(content: bytes, label: int | None) -> None:
    assert read_latent(content, 3, 2) == {"latent": NUMBERS, "label": label}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n",
        b"[" * 100_000,
        b"[1, 2, 3]",
        b'{"label": 1}',
        b'{"latent": [1, 2]}',
        b'{"latent": [1, 2, NaN]}',
        b'{"latent": [1, 2, 1e999]}',
        b'{"latent": ["a", "b", "c"]}',
        b'{"latent": [1, 2, 3], "label": "seven"}',
        b"PK\x03\x04 and nothing more",
        packed(np.save, np.array([[1.0], [2.0], [3.0]])),
        packed(np.save, np.array([print, 1, 2], dtype=object)),  # a pickle, which is not loaded
        packed(np.savez, latents=np.array(NUMBERS)),
        packed(np.savez_compressed, latent=np.array(NUMBERS), large=np.zeros(LARGEST)),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 2) + b"{}",
    ],
)
def test_what_holds_no_latent(content: bytes) -> None:
    assert read_latent(content, 3, 2) is None
