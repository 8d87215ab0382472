"""Grids of samples: the averaged generator, a class in each row, real images beside them, points."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from builders import small_config
from gan_exp.data.packed import DataSpec
from gan_exp.display.animations import opaque
from gan_exp.display.images import scatter_plot, to_pil
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.randomness import Streams
from gan_exp.training.build import build_data, build_state
from gan_exp.training.grid import SampleGrid, grid_rows, row_names
from gan_exp.training.session import start_run
from whole_runs import RHYTHM, read_events, train

CPU = torch.device("cpu")


def test_real_images_lie_beside_the_samples(in_tmp: Path) -> None:
    """Of the same classes, row by row, in a conditional run."""
    config = small_config("mlp", *RHYTHM, "conditional=true", "grid_rows=3", "grid_columns=2")
    start_run(config, "run")
    (event,) = read_events(RunDir.open("run")).Images("samples/real_images")
    Path("reals.png").write_bytes(event.encoded_image_string)
    shown = shown_images(Path("reals.png"), 3, 2)
    data = build_data(config, CPU)
    assert data.labels is not None
    for row in range(3):
        of_class = data.images[data.labels == row, 0].numpy()
        for image in shown[row]:
            assert (of_class == image).all(axis=(1, 2)).any()


def test_grids_show_the_average_of_the_generator(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same latents in every grid, through the averaged generator in inference mode."""
    config = small_config("mlp", *RHYTHM, "lr=0.01", "grid_rows=2", "grid_columns=2")
    run = train(config, "run", (), monkeypatch)
    state = build_state(config, DataSpec((1, 8, 8), num_classes=10), CPU)
    state.load_state_dict(load_checkpoint(run.checkpoint(11)))
    latents = Streams(config.seed).latents(0, "grid", 4, config.latent_dim)
    with torch.no_grad():
        images = ((state.generator_ema.eval()(latents) + 1) * 127.5).round().byte()[:, 0].numpy()
    shown = np.array(Image.open(run.sample_grid(11)))
    factor = shown.shape[0] // 17  # two images of eight pixels and the line between them
    shown = shown[::factor, ::factor]
    for index, (row, column) in enumerate(((0, 0), (0, 9), (9, 0), (9, 9))):
        np.testing.assert_array_equal(shown[row : row + 8, column : column + 8], images[index])
    with torch.no_grad():
        plain = ((state.generator.eval()(latents) + 1) * 127.5).round().byte()[:, 0].numpy()
    assert (plain != images).any()


def shown_images(path: Path, rows: int, columns: int) -> np.ndarray:
    """The 8x8 images of a grid [rows, columns, 8, 8]."""
    shown = np.array(Image.open(path))
    factor = shown.shape[1] // (9 * columns - 1)
    shown = np.pad(shown[::factor, ::factor], ((0, 1), (0, 1)))
    return shown.reshape(rows, 9, columns, 9).transpose(0, 2, 1, 3)[:, :, :8, :8]


def test_a_conditional_grid_has_a_class_to_each_row(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the first class again after the last."""
    config = small_config("mlp", *RHYTHM, "conditional=true", "grid_rows=12", "grid_columns=3", "lr=0.01")
    run = train(config, "run", (), monkeypatch)
    state = build_state(config, DataSpec((1, 8, 8), num_classes=10), CPU)
    state.load_state_dict(load_checkpoint(run.checkpoint(11)))
    latents = Streams(config.seed).latents(0, "grid", 36, config.latent_dim)
    shown = shown_images(run.sample_grid(11), 12, 3)
    generator = state.generator_ema.eval()
    for row in range(12):
        with torch.no_grad():
            images, others = (
                ((generator(latents[3 * row : 3 * row + 3], torch.full((3,), label)) + 1) * 127.5).round().byte()
                for label in (row % 10, (row + 1) % 10)
            )
        np.testing.assert_array_equal(shown[row], images[:, 0].numpy())
        assert (images != others).any()


@pytest.mark.parametrize(("conditional", "classes", "rows"), [(False, 3, 5), (True, 3, 3), (True, 30, 10)])
def test_as_many_rows_as_classes_where_it_is_not_said(conditional: bool, classes: int, rows: int) -> None:
    spec = DataSpec((1, 8, 8), num_classes=classes)
    assert grid_rows(None, spec, conditional) == rows
    assert grid_rows(7, spec, conditional) == 7


def test_names_say_more_than_the_numbers_of_rows() -> None:
    assert row_names(("cat", "dog"), 3) == ["cat", "dog", "cat"]
    assert row_names(("0", "1"), 2) == row_names((), 2) == []


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_named_rows(channels: int) -> None:
    """Beside the images, which stay what they are."""
    spec, size = DataSpec((channels, 8, 8), num_classes=2), (2, 3)
    grids = [SampleGrid(spec, 0, 4, *size, True, CPU, names) for names in ((), ("cat", "dog"))]
    images = torch.randint(0, 256, (6, channels, 8, 8), dtype=torch.uint8)
    plain, named = (to_pil(grid.drawn(images).picture) for grid in grids)
    assert named.height == plain.height and named.width > plain.width
    beside = named.width - plain.width
    assert named.crop((beside, 0, *named.size)).tobytes() == opaque(plain).tobytes()
    for top in (0, named.height // 2):
        assert len(named.crop((0, top, beside, top + named.height // 2)).getcolors()) > 2  # letters


def test_points_are_shown_as_a_scatter_plot(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("dataset=ring", "dataset.count=200", "latent_dim=2", "steps=2", "lr=0.01")
    config = small_config("points", *words)
    run = train(config, "run", (), monkeypatch)
    content = load_checkpoint(run.checkpoint(2))
    assert (content["image_shape"], content["num_classes"], content["extent"]) == ([2, 1, 1], 8, 1.5)
    state = build_state(config, DataSpec((2, 1, 1), 8, 1.5), CPU)
    state.load_state_dict(content)
    with torch.no_grad():
        points = state.generator_ema.eval()(Streams(config.seed).latents(0, "grid", 2500, 2))
    np.testing.assert_array_equal(np.array(Image.open(run.sample_grid(2))), scatter_plot(points, 1.5)[0].numpy())
    assert run.animation.exists()
