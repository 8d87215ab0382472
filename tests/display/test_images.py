"""Grids pixel by pixel, PNG files and animations."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_exp.display.images import LARGEST_ANIMATION, encode_png, image_grid, save_animation, scatter_plot, to_pil

LINE = 96


def random_images(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_grid_is_laid_out_row_by_row(channels: int) -> None:
    images = random_images(6, channels, 150, 100)  # large enough not to be enlarged
    grid = image_grid(images, rows=2, columns=3)
    assert grid.shape == (channels, 2 * 150 + 1, 3 * 100 + 2) and grid.dtype == torch.uint8
    seen = torch.zeros(grid.shape, dtype=torch.bool)
    for index in range(6):
        top, left = (index // 3) * 151, (index % 3) * 101
        assert torch.equal(grid[:, top : top + 150, left : left + 100], images[index])
        seen[:, top : top + 150, left : left + 100] = True
    assert (grid[~seen] == LINE).all()


def test_small_grids_are_enlarged_by_whole_factors() -> None:
    images = random_images(4, 1, 8, 8)
    grid = image_grid(images, 2, 2)
    factor = round(256 / 17)
    assert grid.shape == (1, 17 * factor, 17 * factor)
    for block in (grid[:, row::factor, column::factor] for row in (0, factor - 1) for column in (0, factor - 1)):
        assert torch.equal(block[:, :8, :8], images[0]) and torch.equal(block[:, 9:, :8], images[2])


def test_a_grid_of_one() -> None:
    images = random_images(1, 3, 300, 5)
    assert torch.equal(image_grid(images, 1, 1), images[0])


def test_a_grid_must_be_filled() -> None:
    with pytest.raises(ValueError, match="5 images don't fill a grid of 2x3"):
        image_grid(random_images(5, 1, 2, 2), 2, 3)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_png_holds_every_pixel(channels: int, mode: str) -> None:
    image = random_images(channels, 7, 5)
    picture = Image.open(io.BytesIO(encode_png(image)))
    assert picture.format == "PNG" and picture.mode == mode and picture.size == (5, 7)
    shown = torch.from_numpy(np.array(picture))
    assert torch.equal(shown.unsqueeze(0) if channels == 1 else shown.permute(2, 0, 1), image)


def test_other_channel_counts_show_the_first_as_gray() -> None:
    for channels in (2, 5):
        image = random_images(channels, 3, 4)
        assert np.array_equal(np.array(to_pil(image)), image[0].numpy())


def test_an_image_of_one_pixel() -> None:
    assert to_pil(random_images(1, 1, 1)).size == (1, 1)


def frames(folder: Path, count: int, channels: int) -> list[Path]:
    paths = []
    for index in range(count):
        image = torch.full((channels, 6, 9), index * 255 // max(1, count - 1), dtype=torch.uint8)
        image[:, 0, 0] = 255
        paths.append(folder / f"step-{index:08d}.png")
        paths[-1].write_bytes(encode_png(image))
    return paths


def read_frames(path: Path) -> tuple[list[np.ndarray], list[int]]:
    shown, durations = [], []
    with Image.open(path) as picture:
        assert picture.format == "GIF" and picture.info["loop"] == 0
        for index in range(picture.n_frames):
            picture.seek(index)
            shown.append(np.array(picture.convert("L")))
            durations.append(picture.info["duration"])
    return shown, durations


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_animation_shows_the_grids_in_their_order(tmp_path: Path, channels: int) -> None:
    save_animation(frames(tmp_path, 5, channels), tmp_path / "animation.gif")
    shown, durations = read_frames(tmp_path / "animation.gif")
    assert [frame.shape for frame in shown] == [(6, 9)] * 5
    assert [int(frame[3, 3]) for frame in shown] == pytest.approx([0, 63, 127, 191, 255], abs=4)
    assert durations[0] < 1000 < durations[-1]  # the last one is shown longer
    assert sorted(path.name for path in tmp_path.iterdir())[-1] == "step-00000004.png"
    assert not list(tmp_path.glob(".*"))


def test_an_animation_keeps_its_colours(tmp_path: Path) -> None:
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], dtype=torch.uint8)
    stripes = colours.T.reshape(3, 1, 4).repeat_interleave(6, dim=2).expand(3, 6, 24)
    paths = [tmp_path / "step-00000000.png", tmp_path / "step-00000001.png"]
    paths[0].write_bytes(encode_png(stripes))
    paths[1].write_bytes(encode_png(stripes.flip(2)))
    save_animation(paths, tmp_path / "animation.gif")
    with Image.open(tmp_path / "animation.gif") as picture:
        for index, shown in enumerate((colours, colours.flip(0))):
            picture.seek(index)
            pixels = np.array(picture.convert("RGB")).astype(int)[3, 3::6]
            assert np.abs(pixels - shown.numpy().astype(int)).max() <= 8


def test_an_animation_of_one_grid(tmp_path: Path) -> None:
    save_animation(frames(tmp_path, 1, 1), tmp_path / "animation.gif")
    assert len(read_frames(tmp_path / "animation.gif")[0]) == 1


def test_a_long_run_is_thinned_out_evenly(tmp_path: Path) -> None:
    save_animation(frames(tmp_path, 250, 1), tmp_path / "animation.gif")
    shown, _ = read_frames(tmp_path / "animation.gif")
    values = [int(frame[3, 3]) for frame in shown]
    assert len(values) <= LARGEST_ANIMATION and len(values) > 0.9 * LARGEST_ANIMATION
    assert values[0] == 0 and values[-1] == 255 and max(np.diff(values)) <= 4


def test_a_new_animation_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "animation.gif"
    save_animation(frames(tmp_path, 3, 1), path)
    save_animation(frames(tmp_path, 4, 1), path)
    assert len(read_frames(path)[0]) == 4


def dots(*places: tuple[float, float], side: int = 16) -> Tensor:
    return scatter_plot(torch.tensor(places).view(-1, 2, 1, 1), extent=2.0, side=side)


def test_a_scatter_plot_has_a_dot_at_each_point() -> None:
    """Four pixels to a unit; x to the right, y upwards."""
    plot = dots((0.3, 1.3), (-1.6, -0.9))
    assert plot.shape == (1, 16, 16) and plot.dtype == torch.uint8
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[1:4, 8:11] = True  # about row 2 and column 9
    expected[10:13, 0:3] = True  # about row 11 and column 1
    assert torch.equal(plot[0] > 0, expected)
    assert len(plot.unique()) == 2  # both equally bright


def test_a_scatter_plot_cuts_off_what_is_outside() -> None:
    assert not dots((2.01, 0.0), (0.0, -2.01), (-50.0, 50.0), (1e30, 0.0)).any()
    corner = dots((1.99, 1.99))[0]
    assert corner[:2, -2:].all() and (corner > 0).sum() == 4


def test_a_scatter_plot_is_brighter_where_it_is_dense() -> None:
    once, thrice, often = (
        scatter_plot(torch.tensor([0.1, 0.1]).repeat(count, 1).view(-1, 2, 1, 1), 2.0, 16).max().item()
        for count in (1, 3, 1000)
    )
    assert 0 < once < thrice < often == 255
