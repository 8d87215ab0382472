"""How a person without this project uses an exported file: a few lines of Python for its model card."""

import json
from typing import Any

ONNX = """import json
import numpy as np
import onnxruntime
{imports}
session = onnxruntime.InferenceSession({file})
about = {{key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}}
inputs = {{"latents": np.random.default_rng(0).standard_normal((5, about["latent_dim"])).astype(np.float32)}}
{labels}images = session.run(["images"], inputs)[0]  # {shape}
{save}"""
ONNX_LABELS = """inputs["labels"] = np.arange(5) % about["num_classes"]
"""

TORCH = """import json
import torch
{imports}
more = {{"metadata.json": ""}}
generator = torch.export.load({file}, extra_files=more).module()
about = json.loads(more["metadata.json"])
latents = torch.randn(5, about["latent_dim"], generator=torch.Generator().manual_seed(0))
{labels}images = generator({inputs}){numpy}  # {shape}
{save}"""
TORCH_LABELS = """labels = torch.arange(5) % about["num_classes"]
"""

SAVE = """pixels = np.rint((images + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
Image.fromarray(np.concatenate(pixels, axis=1).squeeze()).save("samples.png")
"""
PICTURES = (1, 3, 4)  # channels that a PNG can have

SAFETENSORS = """import json
from safetensors import safe_open

with safe_open({file}, framework="pt") as file:  # or "np" for NumPy
    about = {{key: json.loads(value) for key, value in file.metadata().items()}}
    weights = {{key: file.get_tensor(key) for key in file.keys()}}
"""
OWN = """from gan_exp.runs.export import load_generator

generator = load_generator({file})  # a torch.nn.Module in eval mode, called with {inputs}
"""


def lines_of_use(kind: str, file: str, about: dict[str, Any]) -> str:
    """Python for the file of that name; `kind` is its format, and `about` what it says about itself."""
    name, labelled = json.dumps(file), about["num_classes"] > 0
    if kind == "safetensors":
        return SAFETENSORS.format(file=name)
    has_pixels = about["range"] is not None and about["image_shape"][0] in PICTURES
    values = {
        "file": name,
        "shape": f"[5, {', '.join(map(str, about['image_shape']))}]" + (" in [-1, 1]" if about["range"] else ""),
        "save": SAVE if has_pixels else "",
    }
    picture = "from PIL import Image\n" if has_pixels else ""
    if kind == "onnx":
        return ONNX.format(**values, imports=picture, labels=ONNX_LABELS if labelled else "")
    return TORCH.format(
        **values,
        imports="import numpy as np\n" * has_pixels + picture,
        labels=TORCH_LABELS if labelled else "",
        inputs="latents, labels" if labelled else "latents",
        numpy=".numpy()" if has_pixels else "",
    )


def lines_with_this_project(file: str, about: dict[str, Any]) -> str:
    """Only safetensors files are read back by this project."""
    return OWN.format(file=json.dumps(file), inputs="latents and labels" if about["num_classes"] else "latents")
