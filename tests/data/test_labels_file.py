"""Labels from a CSV file or StyleGAN's dataset.json."""

import json
from pathlib import Path

import pytest

from gan_exp.data.reading import reading_lines
from image_folders import Load, draw, pixels, refused

CSV = "file,label\na.png,cat\nsub/b.png,dog\nc.png,cat\n"
JSON = {"labels": [["a.png", 10], ["sub/b.png", 9], ["c.png", 10]]}


@pytest.fixture
def three(images: Path) -> Path:
    for number, name in enumerate(("a.png", "c.png", "sub/b.png")):
        draw(images / name, number)
    return images


def labelled(load: Load, **options: object) -> dict[int, str]:
    """The class of each image, by its pixels."""
    data = load(**options)
    assert data.labels is not None
    return {pixel[0]: data.classes[label] for pixel, label in zip(pixels(data), data.labels, strict=True)}


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        "\ufeff" + CSV.replace(",", ";").replace("\n", "\r\n"),
        "id\tClass\tFILENAME\n0\tcat\ta.png\n1\tdog\tsub\\b.png\n\n2\tcat\t./c.png\n",
        "image_id,label\na,cat\nb,dog\nc,cat\n",  # names without endings, and without their folders
        'file,label\n"a.png","cat"\n"b.png","dog"\nc.png,cat\n',
    ],
)
def test_a_csv(text: str, three: Path, load: Load) -> None:
    (three / "labels.csv").write_text(text, encoding="utf-8", newline="")
    assert labelled(load) == {0: "cat", 1: "cat", 2: "dog"}


def test_a_dataset_json(three: Path, load: Load) -> None:
    """As StyleGAN has it; numbers are sorted as numbers."""
    (three / "dataset.json").write_text(json.dumps(JSON))
    assert load().classes == ("9", "10") and labelled(load) == {0: "10", 1: "10", 2: "9"}
    (three / "dataset.json").write_text(json.dumps({"labels": dict(JSON["labels"])}))
    assert labelled(load) == {0: "10", 1: "10", 2: "9"}
    (three / "dataset.json").write_text(json.dumps({"labels": None}))
    assert load().labels is None


def test_a_file_elsewhere(three: Path, load: Load, in_tmp: Path) -> None:
    """In the working directory or in the folder; a change of it changes the labels."""
    Path("mine.csv").write_text(CSV)
    assert labelled(load, labels="mine.csv") == {0: "cat", 1: "cat", 2: "dog"}
    Path("mine.csv").rename(three / "mine.csv")
    (three / "mine.csv").write_text(CSV.replace("c.png,cat", "c.png,eel"))
    assert labelled(load, labels="mine.csv") == {0: "cat", 1: "eel", 2: "dog"}
    assert load().labels is None
    assert refused(load, labels="other.csv").startswith("dataset.labels=other.csv: no such file, neither in")


def test_folders_instead(images: Path, load: Load) -> None:
    for number, name in enumerate(("ant/a.png", "bee/b.png")):
        draw(images / name, number)
    (images / "labels.csv").write_text("file,label\na.png,x\nb.png,y\n")
    assert load().classes == ("x", "y") and load(labels="folders").classes == ("ant", "bee")


def test_what_does_not_match_is_told(three: Path, load: Load) -> None:
    (three / "labels.csv").write_text("file,label\na.png,cat\nb.png,dog\ngone.png,eel\n")
    (three / "more.csv").touch()
    reading = load().reading
    assert reading is not None
    assert reading_lines(reading)[3:] == [  # after images, channels and brightness
        "classes: 2, by labels.csv (cat 1, dog 1)",
        "labels: 1 of labels.csv are of no image here (gone.png)",
        "left out: c.png, without a class in labels.csv",
        "ignored: 1 .csv",
    ]


def test_parts_have_the_same_classes(images: Path, load: Load) -> None:
    for number, name in enumerate(("train/a.png", "train/b.png", "test/c.png", "test/d.png")):
        draw(images / name, number)
    (images / "labels.csv").write_text("file,label\na.png,x\nb.png,y\nc.png,y\nd.png,z\n")
    assert labelled(load) == {0: "x", 1: "y"}
    held_out = load(part="held_out")
    assert held_out.labels is not None
    assert (held_out.classes, held_out.labels.tolist(), pixels(held_out)) == (("x", "y"), [1], [[2]])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("labels.csv", b"", "labels.csv, line 1: must name the columns, such as file,label; add that line, or"),
        ("labels.csv", b"a.png,cat\nb.png,dog\n", "labels.csv, line 1: must name the columns"),
        (
            "labels.csv",
            b"file,label\na.png,cat\nb.png\n",
            "line 3: has no label; add it, or remove the line",
        ),
        ("labels.csv", b"file,label\n,cat\n", "labels.csv, line 2: has no file; add it"),
        ("labels.csv", b"file,label\na.png,cat\na.png,dog\n", "line 3: a.png is dog, and cat in line 2; remove one"),
        ("labels.csv", b"file,label\nx.png,cat\n", "labels.csv, line 2: x.png is no image in"),
        ("labels.csv", b"file,label\na.png,\xff\n", "labels.csv, line 2: is no text in UTF-8"),
        ("labels.csv", b'file,label\n"' + b"x" * 200_000 + b'"\n', "labels.csv, line 2: can't be read (field larger"),
        ("dataset.json", b'{"labels":\n [}', "dataset.json, line 2: is no JSON ("),
        ("dataset.json", b"[" * 100_000, "dataset.json, line 1: is "),
        (
            "dataset.json",
            b'{"labels": [["a.png", 1], ["b.png", [0, 1]]]}',
            'entry 2 of labels: ["b.png", [0, 1]] is',
        ),
        ("dataset.json", b'{"labels": [["a.png", true]]}', "entry 1 of labels"),
        ("named.json", b'{"labels": 5}', "named.json: must be like"),
        ("named.json", b"{}", "named.json: holds no labels; add them, or name another file with dataset.labels=FILE"),
    ],
)
def test_malformed_files(name: str, content: bytes, sentence: str, three: Path, load: Load) -> None:
    (three / name).write_bytes(content)
    assert sentence in refused(load, labels=name if name.startswith("named") else None)
