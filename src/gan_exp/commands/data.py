"""`gan-exp data PATH`: what a folder of images holds, without training; `--cache`: the packed folders."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.commands.outputs import add_output, find_output, write_output
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.resources import in_words
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    import numpy as np

    from gan_exp.data.cache import PackedSet
    from gan_exp.data.packed_file import PackedArrays

CACHE = "~/.cache/gan-exp/packed"  # as in conf/dataset/folder.yaml
SHEET_ROWS, SHEET_COLUMNS = 8, 12
PAIRS_SHOWN = 8


def run(arguments: list[str]) -> int:
    parser = Parser("data", "Look at a folder of images before training on it, or at the cache of packed folders.")
    parser.add_argument("path", nargs="?", metavar="PATH", help="the folder, or a zip file of it")
    parser.add_argument("--size", type=count_of(1), metavar="N", help="pixels of a side (default: as train chooses)")
    add_output(parser, "data.png", "a .png for the contact sheet; near-duplicates are its last images")
    parser.add_argument("--cache", action="store_true", help="list the packed folders instead")
    parser.add_argument("--clean", nargs="+", metavar="NAME", help="with --cache: remove these, or `all`")
    options = parser.parse_args(arguments)
    cache = expand_user(os.environ.get("GAN_EXP_CACHE") or CACHE, "GAN_EXP_CACHE")
    if options.clean and not options.cache:
        raise UserError("--clean: needs --cache; it removes packed folders from the cache, and never images of yours")
    if options.cache:
        return _clean(cache, options.clean) if options.clean else _list(cache)
    if options.path is None:
        raise UserError("data: which folder? (see gan-exp data --help)")
    sheet = find_output(options, (".png",))

    from gan_exp.data.common_format import Options
    from gan_exp.data.packed_file import open_arrays
    from gan_exp.data.packing import packed_folder

    size, why = (options.size, None) if options.size else _choose_size(options.path, cache)
    packed = packed_folder(options.path, str(cache), Options(size=size, skip_broken=True))
    assert packed is not None
    data = open_arrays(packed)
    if why:
        say(f"size: {size if isinstance(size, int) else 'x'.join(map(str, size))} ({why})")
    pairs = _describe(data)
    write_output(sheet, _contact_sheet(data.images, pairs), options.force)
    say(f"contact sheet: {sheet}")
    return 0


def _choose_size(path: str, cache: Path) -> tuple[int | tuple[int, int], str | None]:
    """As `gan-exp train dataset=folder` chooses on a CPU, and the reason."""
    from gan_exp.config.image_size import USUAL_SIDE, choose_size
    from gan_exp.data.common_format import Options
    from gan_exp.data.glance import glance_at

    try:
        glance = glance_at(expand_user(path, "data"), cache, Options.max_megapixels)
    except (UserError, OSError, ValueError):
        return USUAL_SIDE, None  # packing says what is wrong
    size, why = choose_size(glance.sizes, on_gpu=False)
    return (size, why) if isinstance(size, int) else ((size[0], size[1]), why)


def _describe(data: "PackedArrays") -> list[tuple[int, int]]:
    """Print what there is to know; returns pairs of near-duplicates."""
    from gan_exp.data.reading import counted, data_lines
    from gan_exp.data.survey import survey

    images = data.images
    facts = {"images": len(images), "shape": images.shape[1:], "bytes": images.nbytes, "reading": data.reading}
    for line in data_lines(facts):
        say(line)
    found = survey(images)
    dark, middle, bright = found.brightness
    spread = f" in the middle, {dark:.0f} to {bright:.0f} for eight of ten images" if len(images) >= 10 else ""
    say(f"brightness: {middle:.0f} of 255{spread}")
    if found.one_colour:
        say(f"plain: {counted(found.one_colour)} of one colour only")
    if found.near:
        among = f" among the first {found.compared:,}" if found.compared < len(images) else ""
        verb = "equals" if found.near == 1 else "equal"
        say(f"near-duplicates: {counted(found.near)}{among} nearly {verb} an earlier one")
    return found.pairs


def _contact_sheet(images: "np.ndarray", pairs: list[tuple[int, int]]) -> bytes:
    """As PNG: images spread evenly over the folder, then pairs of near-duplicates."""
    from gan_exp.display.contact_sheet import contact_sheet

    shown = [index for pair in pairs[:PAIRS_SHOWN] for index in pair]
    count = max(1, min(SHEET_ROWS * SHEET_COLUMNS, len(images)) - len(shown))
    chosen = [*(number * len(images) // count for number in range(count)), *shown]
    return contact_sheet([images[index] for index in chosen], min(SHEET_COLUMNS, len(chosen)))


def _list(cache: Path) -> int:
    from gan_exp.data.cache import packed_sets

    found = packed_sets(cache)
    if not found:
        say(f"{cache}: no packed folders")
        return 0
    for one in found:
        channels, height, width = one.shape
        whole = one.path.name.startswith("zip-") and not one.path.suffix
        what = f"{one.images:,} of {height}x{width}x{channels}" if one.images else "unpacked" if whole else "not whole"
        say(f"{one.path.name}  {in_words(one.bytes):>9}  {what}{f'  {one.root}' if one.root else ''}")
    say(f"{_total(found)}, in {cache}; remove some with")
    say("  gan-exp data --cache --clean NAME ...")
    return 0


def _clean(cache: Path, names: list[str]) -> int:
    from gan_exp.data.cache import packed_sets, remove

    found = {one.path.name: one for one in packed_sets(cache)}
    for name in names:
        if name != "all" and name not in found:
            raise UserError(f"--clean {name}: no such packed folder; there are {', '.join(found) or 'none'} (or all)")
    chosen = list(found.values()) if "all" in names else [found[name] for name in dict.fromkeys(names)]
    for one in chosen:
        try:
            remove(one)
        except OSError as error:
            raise UserError(f"--clean {one.path.name}: can't be removed ({error.strerror or error})") from error
    say(f"removed: {_total(chosen)}")
    return 0


def _total(found: Sequence["PackedSet"]) -> str:
    return f"{plural(len(found), 'packed folder')}, {in_words(sum(one.bytes for one in found))}"
