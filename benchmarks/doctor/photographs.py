"""A folder of photographs: crops of the two in scikit-learn, one class for each."""

from pathlib import Path

from PIL import Image

SIDE = 64  # pixels of a crop, read as 32
STRIDE = 20


def write_photographs(folder: Path, stride: int = STRIDE) -> Path:
    """Write the PNG files that don't exist yet, about a thousand in two folders below `folder`."""
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
