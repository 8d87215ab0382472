"""What was read of a folder of images, in a few lines: kept with the packed images and with every run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gan_exp.data.decode import ImageHeader, TargetFormat
from gan_exp.runtime.resources import in_words
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from gan_exp.data.packed import PackedImages

Reading = dict[str, Any]  # plain data
MOST_NAMED = 5


def describe_reading(
    headers: Sequence[ImageHeader],
    target: TargetFormat,
    why_channels: str,
    class_counts: Mapping[str, int],
    others: Mapping[str, int],
    strays: Sequence[str],
    broken: Mapping[str, str],
    copies: int,
    parted: bool,
    labels_file: str | None = None,
    unmatched: Sequence[str] = (),
    layout: Sequence[str] = (),
    values: Sequence[str] = (),
) -> Reading:
    """`headers` are those of the images that are used; `others` are files that are no images, by their ending.

    `labels_file` has the labels, if a file has them; `unmatched` are what it names and the folder doesn't hold.
    `layout` are sentences on parts and classes, `values` on the pixels' range. `copies` is the number of images that
    equal an earlier one, after they were brought to their common shape.
    """
    sizes = Counter((header.height, header.width) for header in headers)
    smallest, largest = min(sizes, key=_area), max(sizes, key=_area)
    return {
        "images": len(headers),
        "formats": dict(Counter(header.format for header in headers).most_common()),
        "smallest": list(smallest),
        "largest": list(largest),
        "sizes": len(sizes),
        "height": target.height,
        "width": target.width,
        "fit": target.fit,
        "other_aspect": sum(n for size, n in sizes.items() if not _same_aspect(size, target)),
        "enlarged": sum(n for size, n in sizes.items() if _is_enlarged(size, target)),
        "channels": target.channels,
        "why_channels": why_channels,
        "profiles": sum(header.has_profile for header in headers),
        "scales": {kind: list(scale) for kind, scale in target.scales.items()},
        "values": list(values),
        "classes": dict(class_counts),
        "labels_file": labels_file,
        "unmatched": list(unmatched),
        "parted": parted,
        "layout": list(layout),
        "ignored": dict(others),
        "strays": list(strays),
        "broken": dict(broken),
        "copies": copies,
    }


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _same_aspect(size: tuple[int, int], target: TargetFormat) -> bool:
    """Up to one pixel of the target."""
    height, width = size
    return abs(height * target.width / width - target.height) < 1


def _is_enlarged(size: tuple[int, int], target: TargetFormat) -> bool:
    factors = target.height / size[0], target.width / size[1]
    return (min if target.fit == "pad" else max)(factors) > 1


def describe_data(data: "PackedImages") -> dict[str, Any]:
    """The facts of any data set: its size, shape and classes, and what was read of the user's files."""
    labels = None if data.labels is None else data.labels.bincount(minlength=data.spec.num_classes).tolist()
    names = data.classes or tuple(map(str, range(data.spec.num_classes)))
    return {
        "images": len(data.images),
        "shape": list(data.image_shape),
        "bytes": data.images.nbytes,
        "digest": data.digest,
        "classes": {} if labels is None else dict(zip(names, labels, strict=True)),
        "reading": data.reading,
    }


def data_lines(facts: Mapping[str, Any]) -> list[str]:
    """Sentences about what `describe_data` gave."""
    channels, height, width = facts["shape"]
    lines = reading_lines(facts["reading"], facts["images"]) if facts["reading"] else []
    return [*lines, f"data: {facts['images']:,} of {height}x{width}x{channels}, {in_words(facts['bytes'])} packed"]


def reading_lines(reading: Mapping[str, Any], used: int | None = None) -> list[str]:
    """Sentences for the log: the images, and each thing about them that not all folders have.

    `used` is the number of images that are trained on, if some are held out.
    """
    count, height, width = reading["images"], reading["height"], reading["width"]
    formats = ", ".join(f"{n:,} {name}" for name, n in reading["formats"].items())
    smallest, largest = (f"{size[0]}x{size[1]}" for size in (reading["smallest"], reading["largest"]))
    sizes = f"of {smallest}" if reading["sizes"] == 1 else f"from {smallest} to {largest}"
    lines = [f"images: {count:,} ({formats}) {sizes}, brought to {height}x{width}{_changes(reading)}"]
    if used is not None and used < count:
        lines.append(f"held out: {count - used:,} of them, so that {used:,} are trained on")
    lines.append(f"channels: {reading['channels']} ({reading['why_channels']})")
    lines += reading.get("values") or []  # packed sets of earlier versions don't say
    if reading["classes"]:
        classes = [f"{name} {n:,}" for name, n in reading["classes"].items()]
        source = f", by {reading['labels_file']}" if reading.get("labels_file") else ""
        lines.append(f"classes: {len(classes)}{source} ({some(classes)})")
    if reading.get("unmatched"):
        unmatched = reading["unmatched"]
        lines.append(f"labels: {len(unmatched):,} of {reading['labels_file']} are of no image here ({some(unmatched)})")
    lines += reading.get("layout") or []  # nor this
    if reading["profiles"]:
        lines.append(f"colours: {counted(reading['profiles'])} had a profile, converted to sRGB")
    if reading["strays"]:
        file = reading.get("labels_file")
        why = f"without a class in {file}" if file else "beside the folders that are the classes"
        lines.append(f"left out: {some(reading['strays'])}, {why}")
    if reading["ignored"]:
        ignored = [f"{n:,} {ending}" for ending, n in sorted(reading["ignored"].items(), key=lambda item: -item[1])]
        lines.append(f"ignored: {some(ignored)}")
    if reading["broken"]:
        broken = [f"{name} {why}" for name, why in reading["broken"].items()]
        lines.append(f"broken: {counted(len(broken))} skipped ({some(broken, 2)})")
    if reading["copies"]:
        one = reading["copies"] == 1
        lines.append(f"copies: {counted(reading['copies'])} equal{'s' if one else ''} an earlier one")
    return lines


def _changes(reading: Mapping[str, Any]) -> str:
    found = []
    if reading["other_aspect"]:
        verb = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[reading["fit"]]
        found.append(f"{reading['other_aspect']:,} {verb}")
    if reading["enlarged"]:
        found.append(f"{reading['enlarged']:,} enlarged, so they will look soft")
    return f" ({', '.join(found)})" if found else ""


def counted(count: int, what: str = "image") -> str:
    return plural(count, what)


def some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """The first of them, and how many more there are."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
