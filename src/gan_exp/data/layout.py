"""Sentences on how folders became parts and classes, and why they did not where they look as if they should."""

import os
from collections import Counter
from collections.abc import Iterable

from gan_exp.data.file_names import printable
from gan_exp.data.image_tree import HELD_OUT, TRAIN, ImageTree, top_of
from gan_exp.data.reading import counted, some


def layout_lines(whole: ImageTree) -> list[str]:
    """Of all images below a root."""
    part = whole.part("train") or whole
    return [*_of_parts(whole, part), *_of_classes(part)]


def _of_parts(whole: ImageTree, part: ImageTree) -> list[str]:
    counts = Counter(top_of(name) for name in whole.files)
    beside = counts.pop("", 0)
    train = sorted(top for top in counts if top.lower() in TRAIN)
    held_out = sorted(top for top in counts if top.lower() in HELD_OUT)
    if part is not whole:
        trained, kept = (_named([f"{top} {counts[top]:,}" for top in tops]) for tops in (train, held_out))
        lost = f"; left out {'is' if beside == 1 else 'are'} {counted(beside)} beside these folders" if beside else ""
        return [f"parts: trained on {trained}; held out {kept}{lost}"]
    if train and held_out:
        others = sorted(counts.keys() - {*train, *held_out})
        return [
            f"parts: none, since there are other folders too ({_named(others)}): move them elsewhere, and "
            f"{_named(train)} alone will be trained on"
        ]
    return []


def _of_classes(part: ImageTree) -> list[str]:
    """Why there are none, where there are folders."""
    if part.labels is not None or part.classes():
        return []
    counts = Counter(part.class_of(name) for name in part.files)
    beside = counts.pop(None, 0)
    if len(counts) > 1:
        smallest = min(counts, key=lambda name: counts[name])
        return [
            f"classes: none, since {counted(beside)} {'lies' if beside == 1 else 'lie'} beside the {len(counts)} "
            f"folders, and {printable(str(smallest))} holds {counts[smallest]:,}: move what is beside them elsewhere "
            f"if the folders are classes"
        ]
    if len(counts) == 1 and not beside and part.depth == 0:
        only = str(next(iter(counts)))
        inner = {top_of(name.partition(os.sep)[2]) for name in part.files} - {""}
        if len(inner) > 1:
            return [
                f"classes: none, since one folder holds all images; with it as dataset.root=.../{printable(only)}, "
                f"the folders in it would part them: {_named(sorted(inner))}"
            ]
    return []


def _named(names: Iterable[str]) -> str:
    return some(list(map(printable, names)))
