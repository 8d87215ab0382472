"""Every format and mode of an image file, and the shapes that images are brought to."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

import gan_exp.data.decode as decoding
from gan_exp.data.brightness import BYTES
from image_folders import BLUE, GREEN, QUARTERS, RED, Load, draw, pixels, refused

LOSSLESS = [".png", ".bmp", ".tif", ".TIFF", ".webp", ".gif", ".ppm", ".tga"]


@pytest.mark.parametrize("ending", [*LOSSLESS, ".jpg", ".JPEG", ".jfif", ".avif"])
def test_formats(ending: str, images: Path, load: Load) -> None:
    options: dict[str, Any] = {"lossless": True} if ending == ".webp" else {}
    if "j" in ending.lower() or ending == ".avif":
        options = {"quality": 100, "subsampling": "4:4:4" if ending == ".avif" else 0}
    Image.fromarray(QUARTERS).save(images / f"a{ending}", **options)
    data = load()
    assert data.images.dtype == torch.uint8 and data.image_shape == (3, 16, 16)
    tolerance = 0 if ending in LOSSLESS else 3
    np.testing.assert_allclose(data.images[0].permute(1, 2, 0).int(), QUARTERS.astype(int), atol=tolerance)


@pytest.mark.parametrize(
    ("mode", "value", "channels", "expected"),
    [
        ("L", 77, 1, [77]),
        ("1", 1, 1, [255]),
        ("LA", (77, 30), 4, [77, 77, 77, 30]),
        ("RGB", (1, 2, 3), 3, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 4), 4, [1, 2, 3, 4]),
        ("I;16", 65535, 1, [255]),
        ("I;16", 0x8080, 1, [128]),
        ("I;16", 300, 1, [75]),  # of 1023
    ],
)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_modes(
    mode: str, value: Any, channels: int, expected: list[int], ending: str, images: Path, load: Load
) -> None:
    draw(images / f"a{ending}", value, mode=mode)
    data = load()
    assert data.image_shape == (channels, 8, 8)
    assert (data.images == torch.tensor(expected).view(1, channels, 1, 1)).all()


def palette_image(**options: Any) -> Image.Image:
    """Two columns of a palette's first two colours."""
    image = Image.fromarray(np.array([[0, 1], [0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    return image


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [
        (None, [[10, 20, 30], [40, 50, 60]]),
        (1, [[10, 20, 30, 255], [0, 0, 0, 0]]),  # what nobody sees is cleared
        (b"\x80\xff", [[10, 20, 30, 128], [40, 50, 60, 255]]),
    ],
)
def test_palettes(transparency: Any, expected: list[list[int]], images: Path, load: Load) -> None:
    options = {} if transparency is None else {"transparency": transparency}
    palette_image().save(images / "a.png", **options)
    with Image.open(images / "a.png") as saved:
        assert saved.mode == "P"
    assert load().images[0, :, 0].T.tolist() == expected


@pytest.mark.parametrize(("mode", "key"), [("RGB", (9, 8, 7)), ("L", 9), ("1", 0)])
def test_a_transparent_colour(mode: str, key: Any, images: Path, load: Load) -> None:
    draw(images / "a.png", key, mode=mode, transparency=key)
    data = load()
    assert data.image_shape[0] == 4 and pixels(data)[0][3] == 0


def test_cmyk_jpeg(images: Path, load: Load) -> None:
    draw(images / "a.jpg", (0, 255, 255, 0), mode="CMYK", quality=100)
    assert load().image_shape[0] == 3
    np.testing.assert_allclose(pixels(load())[0], RED, atol=4)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0, -3.0], [0, 128, 255, 0]),  # up to 1
        ([0.0, 51.0, 200.0, 127.4], [0, 51, 200, 127]),  # up to 255
        ([0.0, 257.0, 25700.0, 65535.0], [0, 1, 100, 255]),  # up to 65535
        ([0.0, 5e4, 1e5, 2e4], [0, 128, 255, 51]),  # up to the largest
    ],
)
def test_float_tiff(values: list[float], expected: list[int], images: Path, load: Load) -> None:
    Image.fromarray(np.array([values], dtype=np.float32)).save(images / "a.tif")
    data = load()
    assert data.image_shape == (1, 1, 4)
    assert data.images.flatten().tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_tiff_that_holds_no_numbers(value: float, images: Path, load: Load) -> None:
    Image.fromarray(np.array([[0, value]], dtype=np.float32)).save(images / "a.tif")
    assert "a.tif contains values that are not finite; remove it" in refused(load)


def test_32_bit_integers(images: Path, load: Load) -> None:
    Image.fromarray(np.array([[0, 50_000, 100_000, -5]], dtype=np.int32)).save(images / "a.tif")
    assert load().images.flatten().tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize("orientation", [1, 6])
def test_unsigned_32_bit_integers(orientation: int, images: Path, load: Load) -> None:
    """Pillow reads them as signed, so that the bright half would be negative, and black."""
    file, signed, unsigned = io.BytesIO(), *(struct.pack("<HHIH", 339, 3, 1, kind) for kind in (2, 1))
    values = np.array([[0, 2**31, 2**32 - 1]], dtype=np.uint32)
    Image.fromarray(values.view(np.int32)).save(file, "TIFF", tiffinfo={274: orientation})
    assert signed in file.getvalue()  # Pillow writes what is signed only
    (images / "a.tif").write_bytes(file.getvalue().replace(signed, unsigned))
    assert load().images.flatten().tolist() == [0, 128, 255]


def test_pillows_warnings_do_not_come_through(images: Path, load: Load) -> None:
    draw(images / "a.jpg", 50, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05not exif at all")  # corrupt: Pillow warns
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(images / "a.jpg") as image:
        image.getexif()
    assert pixels(load()) == [[50]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif"])
def test_exif_orientation(orientation: int, ending: str, images: Path, load: Load) -> None:
    """Images stored rotated or mirrored are decoded upright; they are not square, so that a wrong size would show."""
    upright = np.zeros((16, 32), dtype=np.uint8)
    upright[:8, :16], upright[8:, 16:] = 100, 200
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright[::-1, ::-1].T,
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == ".webp" else {"quality": 100} if ending == ".jpg" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(images / f"a{ending}", exif=exif, **options)
    data = load(channels=1)
    assert data.image_shape == (1, 16, 32)
    np.testing.assert_allclose(data.images[0, 0].int(), upright.astype(int), atol=6 if ending == ".jpg" else 1)


def test_other_formats_are_not_opened(images: Path, load: Load) -> None:
    """Whatever the file's name: for some formats Pillow would start other programs."""
    (images / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    assert "a.png can't be read as an image (" in refused(load)


def striped() -> Image.Image:
    """16 x 48: red, green and blue squares in a row."""
    return Image.fromarray(np.repeat(np.array([[RED, GREEN, BLUE]], dtype=np.uint8), 16, axis=1).repeat(16, axis=0))


def test_crop_cuts_out_the_middle(images: Path, load: Load) -> None:
    striped().save(images / "a.png")
    data = load(size=16, fit="crop")
    assert (data.images == torch.tensor(GREEN).view(1, 3, 1, 1)).all()


def test_stretch_keeps_all_of_it(images: Path, load: Load) -> None:
    striped().save(images / "a.png")
    row = load(size=[8, 24], fit="stretch").images[0, :, 4].T.int()
    for column, color in ((0, RED), (12, GREEN), (23, BLUE)):
        assert (row[column] - torch.tensor(color)).abs().max() < 16


@pytest.mark.parametrize(("channels", "bar"), [(3, [0, 0, 0]), (4, [0, 0, 0, 0])])
def test_pad_adds_bars(channels: int, bar: list[int], images: Path, load: Load) -> None:
    striped().save(images / "a.png")
    picture = load(size=48, fit="pad", channels=channels).images[0]
    assert (picture[:, :16] == torch.tensor(bar).view(-1, 1, 1)).all()
    assert (picture[:, 32:] == torch.tensor(bar).view(-1, 1, 1)).all()
    assert torch.equal(picture[:3, 16:32].permute(1, 2, 0), torch.from_numpy(np.array(striped())))


@settings(max_examples=60, derandomize=True)
@given(st.tuples(*[st.integers(1, 300)] * 2), st.tuples(*[st.integers(1, 40)] * 2), st.sampled_from([1, 3, 4]))
def test_any_width_and_height(stored: tuple[int, int], wanted: tuple[int, int], channels: int) -> None:
    image = Image.new("RGBA", stored, (30, 60, 90, 255))
    for fit in ("crop", "pad", "stretch"):
        array = decoding._shaped(image, decoding.TargetFormat(*wanted, fit, channels, {"bytes": BYTES}))
        assert array.dtype == np.uint8 and array.shape == (channels, *wanted)
        if fit != "pad":
            assert (array == array[:, :1, :1]).all()
        assert array[0].max() in (30, 54)  # 54 is the colour's luminance


def test_channels(images: Path, load: Load) -> None:
    draw(images / "a.png", 100)
    assert load().image_shape[0] == 1
    draw(images / "b.png", (10, 200, 100), mode="RGB")
    assert pixels(load()) == [[100] * 3, [10, 200, 100]]
    draw(images / "c.png", (10, 200, 100, 0), mode="RGBA")
    assert pixels(load()) == [[100, 100, 100, 255], [10, 200, 100, 255], [0, 0, 0, 0]]
    assert pixels(load(channels=4)) == pixels(load())
    # The colours of transparent pixels stay hidden.
    assert pixels(load(channels=3))[2] == [0, 0, 0]
    gray = round(0.299 * 10 + 0.587 * 200 + 0.114 * 100)
    assert pixels(load(channels=1)) == [[100], [gray], [0]]
    assert pixels(load(channels=1, size=8)) == [[100], [gray], [0]]


def test_size_null(images: Path, load: Load) -> None:
    draw(images / "a.png", 1, (7, 5))
    draw(images / "deep/b.png", 2, (7, 5))
    assert load(size=None).images.shape == (2, 1, 5, 7)
    draw(images / "deep/c.png", 3, (8, 5))
    assert refused(load, size=None) == (
        "dataset.size=null: the images differ in size (a.png is 5x7, deep/c.png 5x8); "
        "choose one, such as dataset.size=64 or dataset.size=[48,80]"
    )
    assert load(size=[6, 9]).images.shape == (3, 1, 6, 9)


def test_the_first_frame_of_an_animation(images: Path, load: Load) -> None:
    first, second = (Image.new("RGB", (8, 8), color) for color in (RED, BLUE))
    first.save(images / "a.gif", save_all=True, append_images=[second])
    assert pixels(load()) == [list(RED)]


@pytest.mark.parametrize(
    ("paths", "channels"),
    [
        ({"a.png": ("RGBA", (9, 8, 7, 255))}, 3),  # opaque, whatever its mode
        ({"a.png": ("RGB", (7, 7, 7))}, 1),
        ({"a.png": ("RGBA", (7, 7, 7, 255)), "b.png": ("L", 9)}, 1),
        ({"a.png": ("RGB", (7, 7, 7)), "b.png": ("RGB", (7, 7, 8))}, 3),
        ({"a.png": ("RGB", (7, 7, 8)), "b.png": ("LA", (7, 254))}, 4),
    ],
)
def test_channels_follow_from_the_pixels(
    paths: dict[str, tuple[str, Any]], channels: int, images: Path, load: Load
) -> None:
    for name, (mode, value) in paths.items():
        draw(images / name, value, mode=mode)
    assert load().image_shape[0] == channels


def test_what_is_behind_transparency_and_beside_the_image(images: Path, load: Load) -> None:
    draw(images / "a.png", (10, 200, 100, 0), mode="RGBA", size=(8, 4))
    data = load(size=8, fit="pad", channels=3, background=[255, 0, 9])
    assert (data.images == torch.tensor([255, 0, 9]).view(1, 3, 1, 1)).all()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def gray_profile(gamma: float) -> bytes:
    """An ICC profile of version 2 for gray with this gamma (ICC.1:2001-04, sections 6.1 to 6.5)."""

    def padded(content: bytes) -> bytes:
        return content + bytes(-len(content) % 4)

    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    name = b"linear gray\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"desc": described, b"wtpt": white, b"kTRC": curve, b"cprt": b"text\0\0\0\0none\0"}
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", place + len(body), len(content))
        body += padded(content)
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"GRAY", b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(128 - len(head) - 60) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def test_a_colour_profile_is_applied(images: Path, load: Load) -> None:
    """A profile with another curve than that of sRGB changes the values as its curve says; sRGB's own changes none."""
    gray = gray_profile(gamma=1.0)
    draw(images / "a.png", 64, icc_profile=gray)
    (value,) = pixels(load())
    linear = 64 / 255
    assert abs(value[0] - 255 * (1.055 * linear ** (1 / 2.4) - 0.055)) < 2
    draw(images / "a.png", (10, 200, 100), mode="RGB", icc_profile=SRGB)
    assert pixels(load()) == [[10, 200, 100]]
    draw(images / "a.png", (10, 200, 100), mode="RGB", icc_profile=b"no profile at all")
    assert pixels(load()) == [[10, 200, 100]]


@pytest.mark.parametrize("key", ["XML:com.adobe.xmp", "Raw profile type exif"])
def test_orientation_in_the_text_of_a_png(key: str, images: Path, load: Load) -> None:
    """XMP's, and Exif as ImageMagick writes it, as hexadecimal text."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = exif.tobytes()
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    text = PngImagePlugin.PngInfo()
    if key.startswith("XML"):
        text.add_itxt(key, xmp)
    else:
        text.add_text(key, f"\nexif\n{len(content):8}\n{content.hex()}\n")
    Image.new("L", (8, 4)).save(images / "a.png", pnginfo=text)
    assert load().image_shape == (1, 8, 4)
