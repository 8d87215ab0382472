"""A folder of one's own photographs: crops of the two that scikit-learn carries, a class each."""

from pathlib import Path

from PIL import Image

SIDE = 64  # pixels of a crop, read as 32
STRIDE = 20


def write_photographs(folder: Path, stride: int = STRIDE) -> Path:
    """Some thousand PNG files in two folders below `folder`, where they aren't there yet."""
    from sklearn.datasets import load_sample_images

    images = load_sample_images().images
    for name, pixels in zip(("china", "flower"), images, strict=True):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        height, width, _ = pixels.shape
        for top in range(0, height - SIDE + 1, stride):
            for left in range(0, width - SIDE + 1, stride):
                path = place / f"{top:03d}-{left:03d}.png"
                if not path.exists():
                    Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(path)
    return folder
