"""Labels from a file: a CSV with the columns file and label, or StyleGAN's dataset.json."""

import csv
import hashlib
import io
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user

USUAL = ("labels.csv", "dataset.json")  # in the root; used unless another is named
FOLDERS = "folders"  # instead of a file's name: the folders are the classes
FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path")
LABEL_COLUMNS = ("label", "class", "category", "class_name")
ANOTHER = f"or name another file with dataset.labels=FILE, or take the folders as classes with dataset.labels={FOLDERS}"


class Row(NamedTuple):
    place: str  # in the file: line 3
    image: str
    label: str
    is_name: bool = True  # not the number of a class


class FileLabels(NamedTuple):
    name: str  # of the file
    labels: dict[str, str]  # by the image's name below the root
    unmatched: list[str]  # what it names and the folder doesn't hold
    digest: str
    are_names: bool = True  # False: numbers, as a dataset.json has them for classes of any kind

    def classes(self, files: Sequence[str]) -> list[str]:
        """The labels of these images, sorted: whole numbers by their value."""
        found = {self.labels[name] for name in files if name in self.labels}
        numbers = all(re.fullmatch(r"-?\d+", label) for label in found)
        return sorted(found, key=int) if numbers else sorted(found)


def find_labels(root: Path, files: Collection[str], wanted: str | None) -> tuple[Path, FileLabels] | None:
    """The labels of the images `files`, named below `root`, and the file that has them.

    It is the one `wanted`, else a usual one. Raises UserError for a file that can't be read, or that names no image of
    the folder.
    """
    if wanted == FOLDERS:
        return None
    for file in _candidates(root, wanted):
        rows = read_rows(file, must=wanted is not None)
        if rows:
            return file, _match(file, rows, root, files)
    return None


def label_places(root: Path, wanted: str | None) -> list[Path]:
    """Where the labels can be, the first place first."""
    if wanted == FOLDERS:
        return []
    return [root / name for name in USUAL] if wanted is None else [expand_user(wanted, "dataset.labels"), root / wanted]


def _candidates(root: Path, wanted: str | None) -> list[Path]:
    found = [place for place in label_places(root, wanted) if place.is_file()]
    if wanted is None:
        return found
    if found:
        return found[:1]
    raise UserError(
        f"dataset.labels={wanted}: no such file, neither in the working directory nor in {root}; name a CSV with the "
        f"columns file and label, or a dataset.json"
    )


def read_rows(file: Path, must: bool = True) -> list[Row]:
    """What a file says of each image; nothing for a dataset.json without labels, unless it `must` have them."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); mend that, {ANOTHER}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{file}, line {line}: is no text in UTF-8; save it as UTF-8, {ANOTHER}") from error
    rows = _from_json(file, text, must) if file.suffix.lower() == ".json" else _from_csv(file, text)
    if must and not rows:
        raise UserError(f"{file}: holds no labels; add them, {ANOTHER}")
    return rows


def _from_csv(file: Path, text: str) -> list[Row]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[Row] = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        columns = [next((header.index(n) for n in names if n in header), -1) for names in (FILE_COLUMNS, LABEL_COLUMNS)]
        if -1 in columns:
            raise UserError(f"{file}, line 1: must name the columns, such as file,label; add that line, {ANOTHER}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            image, label = (cells[n].strip() if n < len(cells) else "" for n in columns)
            if not image or not label:
                missing = "label" if image else "file"
                raise UserError(f"{file}, line {reader.line_num}: has no {missing}; add it, or remove the line")
            rows.append(Row(f"line {reader.line_num}", image, label))
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: can't be read ({error}); mend it, {ANOTHER}") from error
    return rows


def _from_json(file: Path, text: str, must: bool) -> list[Row]:
    try:
        content: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{file}, line {error.lineno}: is no JSON ({error.msg}); mend it, {ANOTHER}") from error
    except RecursionError as error:
        raise UserError(f"{file}, line 1: is nested too deeply; mend it, {ANOTHER}") from error
    entries = content.get("labels") if isinstance(content, dict) else None
    if isinstance(entries, dict):  # {"a.png": 3}, as some tools write it
        entries = [list(item) for item in entries.items()]
    if not isinstance(entries, list):
        if must and entries is not None:
            raise UserError(f'{file}: must be like {{"labels": [["a.png", 3], ...]}}; mend it, {ANOTHER}')
        return []
    rows = []
    for number, entry in enumerate(entries, 1):
        good = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
        if not good or isinstance(entry[1], bool) or not isinstance(entry[1], int | str) or entry[1] == "":
            shown = json.dumps(entry)[:60]
            raise UserError(f'{file}, entry {number} of labels: {shown} is not like ["a.png", 3]; mend it, {ANOTHER}')
        rows.append(Row(f"entry {number} of labels", entry[0], str(entry[1]), isinstance(entry[1], str)))
    return rows


def _match(file: Path, rows: Sequence[Row], root: Path, files: Collection[str]) -> FileLabels:
    """By the path below `root`; else by the file's name, with or without its ending, where only one image has it."""
    exact = {name.replace(os.sep, "/"): name for name in files}
    by_name, by_stem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for place, name in exact.items():
        last = place.rpartition("/")[2]
        by_name[last].append(name)
        by_stem[last.rpartition(".")[0]].append(name)
    loose = {word: same[0] for word, same in (*by_stem.items(), *by_name.items()) if len(same) == 1}
    found: dict[str, Row] = {}
    unmatched: list[str] = []
    for row in rows:
        place = row.image.replace("\\", "/").removeprefix("./")
        match = exact.get(place) or loose.get(place.rpartition("/")[2])
        if match is None:
            unmatched.append(row.image)
            continue
        before = found.setdefault(match, row)
        if before.label != row.label:
            raise UserError(
                f"{file}, {row.place}: {row.image} is {row.label}, and {before.label} in {before.place}; remove one"
            )
    if not found:
        raise UserError(
            f"{file}, {rows[0].place}: {rows[0].image} is no image in {root}, nor is any other that it names; write "
            f"paths below that folder, {ANOTHER}"
        )
    labels = {name: row.label for name, row in found.items()}
    listed = sorted((name.replace(os.sep, "/"), label) for name, label in labels.items())
    digest = hashlib.blake2b(repr(listed).encode(errors="surrogateescape"), digest_size=12).hexdigest()
    return FileLabels(file.name, labels, unmatched, digest, any(row.is_name for row in found.values()))
