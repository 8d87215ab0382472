"""What was read of a folder, in lines."""

from pathlib import Path

from gan_exp.data.digits import digits
from gan_exp.data.reading import data_lines, describe_data, reading_lines
from image_folders import Load, draw


def test_a_folder_with_everything(images: Path, load: Load) -> None:
    for number in range(3):
        draw(images / f"cat/{number}.png", (number, 0, 0), mode="RGB", size=(40, 20))
    draw(images / "dog/a.jpg", 207, size=(16, 16))
    draw(images / "dog/b.png", 9, size=(4, 4))
    draw(images / "dog/copy.png", 9, size=(4, 4))
    (images / "dog/broken.png").write_bytes(b"no image")
    for name in ("movie.mp4", "other.mp4", "README"):
        (images / name).touch()
    reading = load(size=8, skip_broken=True).reading
    assert reading is not None
    assert reading_lines(reading) == [
        "images: 6 (5 PNG, 1 JPEG) from 4x4 to 20x40, brought to 8x8 (3 cropped, 2 enlarged, so they will look soft)",
        "channels: 3 (cat/1.png has colours)",
        "classes: 2 (cat 3, dog 3)",
        "ignored: 2 .mp4, 1 without an ending",
        f"broken: 1 image skipped (dog/broken.png {reading['broken']['dog/broken.png']})",
        "copies: 1 image equals an earlier one",
    ]
    assert reading_lines(reading, used=5)[1] == "held out: 1 of them, so that 5 are trained on"
    assert reading_lines(reading, used=6) == reading_lines(reading)
    assert reading == load(size=8, skip_broken=True).reading  # from the packed images


def test_the_plainest_folder(images: Path, load: Load) -> None:
    draw(images / "a.png", 200)
    data = load()
    assert data.reading is not None
    assert reading_lines(data.reading) == [
        "images: 1 (1 PNG) of 8x8, brought to 8x8", "channels: 1 (all images are gray)",
    ]  # fmt: skip


def test_the_facts_of_any_data_set() -> None:
    data = digits()
    facts = describe_data(data)
    assert facts["images"] == len(data.images) and facts["reading"] is None
    assert sum(facts["classes"].values()) == len(data.images) and list(facts["classes"]) == list(data.classes)
    assert data_lines(facts) == [f"data: {len(data.images):,} of 8x8x1, 115 KB packed"]
