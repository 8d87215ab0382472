"""The standard features of published scores: InceptionV3 of 2015 as torch-fidelity has it, its weights downloaded once.

Images go in as bytes, gray ones repeated for RGB, and are resized to 299 x 299 inside the network as TensorFlow 1 did.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.signals import waiting
from gan_exp.runtime.terminal import say


def inception_features(spec: DataSpec, device: torch.device) -> FeatureExtractor:
    """2,048 features and 1,008 logits. Raises UserError where the weights are not there and can't be downloaded."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    if spec.extent is not None:
        raise UserError("--features inception: these are points, not images; leave --features away")
    if spec.image_shape[0] not in (1, 3, 4):
        raise UserError(f"--features inception: takes gray, RGB and RGBA images, not {spec.image_shape[0]} channels")
    weights = _bring_weights()
    try:
        # torch-fidelity unpickles without this limit: what loads here is tensors and nothing else.
        torch.load(weights, map_location="cpu", weights_only=True)
        names = ["2048", "logits_unbiased"]
        module = FeatureExtractorInceptionV3("inception", names, feature_extractor_weights_path=str(weights))
    except Exception as error:  # torch raises whatever the broken bytes lead to
        raise UserError(f"{weights}: are not Inception's weights; remove the file to download it anew") from error
    digest = hashlib.blake2b(weights.read_bytes(), digest_size=8).hexdigest()
    about = {"what": "InceptionV3 of 2015 by torch-fidelity", "resize": "299x299 inside the network, as TensorFlow 1"}
    if spec.image_shape[0] == 4:
        about["ground"] = "white behind what is transparent"
    return FeatureExtractor("inception", digest, _Extract(module).to(device), device, about=about)


class _Extract(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Embedding:
        if images.shape[1] == 4:
            images = _on_white(images)
        features, logits = self.network(images.expand(-1, 3, -1, -1))
        return Embedding(features, logits)


def _on_white(images: Tensor) -> Tensor:
    """RGB of RGBA bytes."""
    alpha = images[:, 3:].float() / 255
    return (images[:, :3] * alpha + 255 * (1 - alpha)).round().byte()


def weights_place() -> Path:
    """Where the weights are, or would be downloaded to."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    name = str(URL_INCEPTION_V3).rpartition("/")[2]
    return expand_user(torch.hub.get_dir(), "TORCH_HOME") / "checkpoints" / name


def _bring_weights() -> Path:
    """Where torch keeps what it downloads; 91 MB, checked by the hash in its name."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    address = str(URL_INCEPTION_V3)
    place = weights_place()
    name = place.name
    if place.is_file():
        return place
    say(f"downloading {name} to {place.parent} (91 MB, once) ...")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        expected = Path(name).stem.rpartition("-")[2]
        with waiting():
            torch.hub.download_url_to_file(address, str(place), hash_prefix=expected, progress=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; RuntimeError: another hash
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"--features inception: its weights can't be downloaded ({reason}); place {name} by hand in "
            f"{place.parent}, or use features that need no network: --features cnn, ssl or pixels"
        ) from error
    return place
