"""Many images are decoded in processes, as few are in threads; neither they nor `gan-exp data` import torch."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gan_exp.data.decoders as module
from gan_exp.data.decoders import Processes
from gan_exp.errors import UserError
from image_folders import Load, draw, noise, packings, refused


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 1)
    monkeypatch.setattr(module, "usable_cores", lambda: 2)


@pytest.mark.usefixtures("processes")
def test_processes_give_what_threads_give(
    images: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(40):
        draw(images / f"{number:02}.png", number)
    noise(images / "colours.png")
    (images / "broken.png").write_bytes(b"no image")
    found = load(size=8, skip_broken=True)
    assert len(found.images) == 41 and found.images.shape[1] == 3
    assert found.reading is not None and found.reading["why_channels"] == "colours.png has colours"
    told = capsys.readouterr()
    assert "skipped: broken.png" in told.out + told.err
    for packed in packings(tmp_path):
        packed.rename(tmp_path / "other")
    monkeypatch.setattr(module, "MANY", 100)
    again = load(size=8, skip_broken=True)
    assert torch.equal(found.images, again.images) and found.reading == again.reading
    monkeypatch.setattr(module, "MANY", 1)
    assert "broken.png can't be read as an image" in refused(load, size=4)


@pytest.fixture
def pool() -> Iterator[Processes]:
    processes = Processes(1)
    yield processes
    processes.close()


def test_errors_come_back_and_the_end_of_a_process_is_told(pool: Processes) -> None:
    pool.submit(os.write, 1, b"what a library prints is no result\n").result()
    assert pool.submit(abs, -3).result() == 3
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result()
    with pytest.raises(UserError, match=r"a process that decodes images ended \(exit code 3\)"):
        pool.submit(os._exit, 3).result()


def test_gan_exp_data_does_not_import_torch(images: Path, tmp_path: Path) -> None:
    draw(images / "a.png")
    code = (
        "import sys; from gan_exp.cli import main; code = main(['data', *sys.argv[1:]]);"
        "sys.exit(code or int('torch' in sys.modules))"
    )
    words = [sys.executable, "-c", code, str(images), "--output", str(tmp_path / "sheet.png")]
    environment = {**os.environ, "GAN_EXP_CACHE": str(tmp_path / "cache")}
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
