"""Grids stay as they are where there is room, and are made smaller or left out where there is not."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_exp.report.images import collect, data_uri, evenly

NOISE = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)


def save(path: Path, size: tuple[int, int] = (120, 120)) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(NOISE).resize(size).save(path)
    return path


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_small_file_is_kept_byte_for_byte(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    uri, lossy = data_uri(path, 100_000)
    assert uri == f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}" and not lossy


@pytest.mark.parametrize("size", [20_000, 8_000, 2_500])
def test_a_large_one_is_made_smaller(tmp_path: Path, size: int) -> None:
    uri, lossy = data_uri(save(tmp_path / "a.png"), size)
    assert uri is not None and lossy and len(uri) <= size * 4 / 3 + 100
    assert opened(uri).format == "WEBP"


def test_one_that_is_too_wide_is_scaled(tmp_path: Path) -> None:
    uri, lossy = data_uri(save(tmp_path / "a.png", (1_500, 60)), 10_000_000)
    assert uri is not None and lossy and opened(uri).width == 1_200


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_damaged_file_is_counted_not_shown(tmp_path: Path, content: bytes) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(content)
    samples = collect([[(0, tmp_path / "a.png"), (5, tmp_path / "b.png")]])
    assert samples.runs == [[0, None]] and samples.damaged == 1 and len(samples.uris) == 1


def test_a_picture_that_claims_to_be_huge_is_not_unpacked(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    assert data_uri(tmp_path / "a.png", 10_000) == (None, False)


def test_many_grids_are_shown_at_a_few_steps_with_the_first_and_the_last(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    samples = collect([[(step, path) for step in range(0, 10_100, 100)]])
    assert len(samples.steps) == 40 and samples.all_steps == 101
    assert samples.steps[0] == 0 and samples.steps[-1] == 10_000


def test_runs_share_their_steps(tmp_path: Path) -> None:
    """A run that ended early has none at the later ones; steps of few runs are passed over."""
    path = save(tmp_path / "a.png")
    whole = [(step, path) for step in (0, 100, 200)]
    samples = collect([whole, whole, whole[:2], [*whole, (150, path)], []])
    assert samples.steps == [0, 100, 200]
    assert [[number is not None for number in run] for run in samples.runs] == [
        [True] * 3,
        [True] * 3,
        [True, True, False],
        [True] * 3,
        [False] * 3,
    ]


def test_where_there_is_no_room_for_all_the_first_runs_are_shown(tmp_path: Path) -> None:
    grids = [(0, save(tmp_path / "a.png"))]
    samples = collect([grids] * 5, size=48_000)
    assert samples.without == 2 and [run[0] is not None for run in samples.runs] == [True, True, True, False, False]
    assert sum(map(len, samples.uris)) < 48_000 * 1.4 + 300


def test_evenly() -> None:
    assert evenly(range(5), 9) == [0, 1, 2, 3, 4] and evenly(range(101), 3) == [0, 50, 100] and evenly([1, 2], 1) == [2]
    assert evenly([], 3) == []
