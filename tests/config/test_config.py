"""The configuration: each YAML against the code it names, and every kind of bad input through the command line."""

import inspect
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from builders import composed
from fake_sets import (
    celeba_files,
    cifar10_files,
    emnist_files,
    expect_cifar10,
    expect_svhn,
    mnist_files,
    place,
    svhn_file,
)
from gan_exp.cli import main
from gan_exp.config.catalog import conf_dir, groups
from gan_exp.config.check import check
from gan_exp.config.overrides import apply_overrides, leaves
from gan_exp.config.schema import Config
from gan_exp.config.targets import INJECTED, RESERVED, resolve_target
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir

OPTIONS = [(group, option) for group, options in groups().items() for option in options]


@pytest.fixture
def made_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few made images in the place of each data set that would be downloaded."""
    for folder in ("MNIST", "FashionMNIST", "KMNIST"):
        place(mnist_files(), tmp_path / folder / "raw")
    place(cifar10_files(), tmp_path / "cifar-10-batches-py")
    expect_cifar10(cifar10_files(), monkeypatch)
    place(emnist_files(), tmp_path / "EMNIST" / "raw")
    place({"train_32x32.mat": svhn_file()}, tmp_path / "svhn")
    expect_svhn(svhn_file(), monkeypatch)
    place(celeba_files(), tmp_path / "celeba" / "img_align_celeba")
    monkeypatch.setenv("GAN_EXP_DATA", str(tmp_path))
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path / "packed"))
    return tmp_path


# --- what is shipped ---------------------------------------------------------------------------------------------


GENERATOR, DISCRIMINATOR = "model.generator.", "model.discriminator."
NARROW = {  # each model at its narrowest, or nearly
    "mlp": [f"{GENERATOR}widths=[8]", f"{DISCRIMINATOR}widths=[8]"],
    "points": [f"{GENERATOR}widths=[8]", f"{DISCRIMINATOR}widths=[8]"],
    "dcgan": [f"{GENERATOR}width=4", f"{DISCRIMINATOR}width=4"],
    "resnet": [f"{GENERATOR}width=4", f"{DISCRIMINATOR}width=4"],
    "fastgan": [f"{GENERATOR}width=4", f"{DISCRIMINATOR}width=4"],
    "r3gan": [
        f"{network}{key}"
        for network in (GENERATOR, DISCRIMINATOR)
        for key in ("width=8", "max_width=8", "blocks=1", "group_size=4")
    ],
}


def narrow(group: str, option: str) -> list[str]:
    """What an option needs beside it to train, and the smallest of networks."""
    words = [f"{group}={option}"]
    if group == "dataset" and option in ("ring", "grid"):
        words += ["model=points", "dataset.count=100"]
    elif group == "model" and option == "points":
        words += ["dataset=ring", "dataset.count=100"]
    elif option == "stacked_mnist":
        words += ["dataset.count=100"]
    elif option == "augment_ramp":
        words += ["augment=pipeline"]
    elif "folder" in option:
        words += ["dataset.root=own images", "dataset.size=8"]
    elif option == "celeba":
        words += ["dataset.size=8"]
    if group == "experiment":
        words.append("evaluate_count=100")
        words += ["n_critic=1", "dataset.count=100"] if option in ("ring", "grid") else ["n_critic=1"]
        model = yaml.safe_load(groups()[group][option].read_text(encoding="utf-8"))["defaults"]
        return [*words, *NARROW[next(item["override /model"] for item in model if "override /model" in item)]]
    chosen = option if group == "model" else "points" if "model=points" in words else "mlp"
    return [*words, *NARROW[chosen]]


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_takes_three_steps(
    group: str,
    option: str,
    made_data: Path,
    tiny: list[str],
    in_tmp: Path,
    quick_classifier: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("own images").mkdir()
    for name, color in (("a", "black"), ("b", "white")):
        Image.new("RGB", (20, 10), color).save(f"own images/{name}.png")
    words = [word for word in tiny if not word.startswith("model.")]
    code = main(["train", *words, *narrow(group, option), "hydra.run.dir=run"])
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if group == "device" and not here.get(option, True):
        assert code == 2
        assert capsys.readouterr().err.startswith(f"gan-exp: device={option}: no ")
        return
    assert code == 0, capsys.readouterr().err
    run = RunDir("run")
    assert (run.read_status()["state"], run.read_status()["step"]) == ("finished", 3)
    assert check(run.read_config()).steps == 3  # enough to run it again


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_default_is_explained(path: Path) -> None:
    text = path.read_text(encoding="utf-8").split("\nhydra:\n")[0]
    for line in text.splitlines():
        setting = re.fullmatch(r"\s*([\w.]+):\s+(\S.*)", line)
        if setting is None or setting[1] in ("_target_", "name"):
            continue
        assert re.search(r"\s#\s\S", line), f"{path.name}: {line}"


@pytest.mark.parametrize(("group", "option"), [pair for pair in OPTIONS if pair[0] != "experiment"])
def test_every_option_is_described(group: str, option: str) -> None:
    assert groups()[group][option].read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(
    ("group", "option"), [pair for pair in OPTIONS if pair[0] not in ("experiment", "device")], ids="/".join
)
def test_keys_are_the_arguments_of_the_target(group: str, option: str) -> None:
    content = yaml.safe_load(groups()[group][option].read_text(encoding="utf-8"))
    nodes = [content] if "_target_" in content else [node for node in content.values() if isinstance(node, dict)]
    assert nodes
    for node in nodes:
        if node["_target_"] is None:
            assert node == {"_target_": None}
            continue
        reserved = set(RESERVED[group].model_fields) if group in RESERVED else set()
        given_keys = set(node) - {"_target_"} - reserved
        target = resolve_target(group, node["_target_"])
        taken = set(inspect.signature(target).parameters) - set(INJECTED.get(group, ()))
        # Of an optimizer's switches (foreach, capturable, ...) a YAML shows those that matter.
        assert given_keys <= taken if group == "optimizer" else given_keys == taken


@pytest.mark.parametrize("group", RESERVED)
def test_every_option_shows_the_reserved_keys(group: str) -> None:
    for option, path in groups()[group].items():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["_target_"] is not None:
            # `resize` is for images in memory: a folder has its own size, points have none.
            optional = {"resize"} if option in ("folder", "celeba", "ring", "grid") else set()
            optional |= {"mirror"} if option in ("ring", "grid") else set()  # points have no left and right
            # `held_out` is for sets that have no test part of their own.
            optional |= set() if option in ("folder", "celeba", "digits") else {"held_out"}
            assert set(RESERVED[group].model_fields) - optional <= set(content), option


@pytest.mark.parametrize("option", groups()["experiment"])
def test_a_recipe_overrides_every_group_it_depends_on(option: str) -> None:
    """Or a default that changes would change what the recipe means."""
    content = yaml.safe_load(groups()["experiment"][option].read_text(encoding="utf-8"))
    overridden = {key.removeprefix("override /") for item in content["defaults"] for key in item}
    assert overridden >= {"dataset", "model", "loss", "penalty", "augment", "optimizer", "schedule"}
    # And the root's keys that make the experiment; how often something is written is a matter of taste.
    assert set(content) >= {"name", "steps", "batch_size", "lr", "reuse_fakes", "ema_halflife_kimg"}


def test_root_keys_are_those_of_the_schema() -> None:
    root = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    defaults = {key for item in root.pop("defaults") if isinstance(item, dict) for key in item}
    chosen = {key for key in defaults if not key.startswith("override ")} - {"experiment"}
    assert chosen | set(root) - {"hydra"} == set(Config.model_fields)


def test_the_article_is_the_article() -> None:
    config = check(composed(["experiment=article"]))
    assert (config.steps, config.batch_size, config.lr, config.n_critic) == (30000, 32, 2e-4, 1)
    assert (config.split_updates, config.inference_fakes, config.sampling) == (True, True, "with_replacement")


def test_lr_reaches_both_optimizers_and_one_alone() -> None:
    assert composed(["lr=3e-4"])["optimizer"]["discriminator"]["lr"] == 3e-4
    plain = composed(["optimizer.discriminator.lr=4e-4"])
    assert (plain["optimizer"]["generator"]["lr"], plain["optimizer"]["discriminator"]["lr"]) == (1e-3, 4e-4)


@pytest.mark.parametrize(("model", "expected"), [("mlp", (8000, 64, 1e-3)), ("dcgan", (5000, 32, 2e-3))])
def test_length_batch_and_lr_follow_the_model(model: str, expected: tuple[float, ...]) -> None:
    chosen = check(composed([f"model={model}"]))
    assert (chosen.steps, chosen.batch_size, chosen.lr) == expected
    assert chosen.optimizer.generator["lr"] == chosen.lr
    own = check(composed([f"model={model}", "lr=2e-4", "steps=7"]))
    assert (own.steps, own.batch_size, own.lr) == (7, expected[1], 2e-4)


# --- bad input ---------------------------------------------------------------------------------------------------

UNKNOWN = [
    ("lrr=1", "lrr: unknown key; did you mean lr?"),
    ("+lrr=1", "lrr: unknown key; did you mean lr?"),
    ("++lrr=1", "lrr: unknown key; did you mean lr?"),
    ("modle=mlp", "modle: unknown key; did you mean model?"),
    ("lr.x=1", "lr.x: unknown key"),
    ("model.generator.withs=[8]", "model.generator.withs: unknown key; did you mean model.generator.widths?"),
    ("+model.generator.withs=[8]", "model.generator.withs: unknown key; did you mean model.generator.widths?"),
    ("model=dcgan model.generator.widht=8", "did you mean model.generator.width?"),
    ("+optimizer.discriminator.beta=[0.5,0.9]", "did you mean optimizer.discriminator.betas?"),
    ("+optimizer.generater.lr=1", "optimizer.generater: unknown key; did you mean optimizer.generator?"),
    ("+optimizer.generator.params=1", "optimizer.generator.params: unknown key"),
    ("+model.generator.image_shape=[1,8,8]", "model.generator.image_shape: unknown key"),
    ("device.thread=1", "device.thread: unknown key; did you mean device.threads?"),
    ("+device.thread=1", "device.thread: unknown key; did you mean device.threads?"),
    ("schedule=cosine schedule.lr.finl=0", "schedule.lr.finl: unknown key; did you mean schedule.lr.final?"),
    ("penalty=r1 +penalty.gama=1", "penalty.gama: unknown key; did you mean penalty.gamma?"),
    ("penalty=none +penalty.gamma=1", "penalty.gamma: unknown key"),
    ("+loss.margin=1", "loss.margin: unknown key"),
    ("dataset.root=/x", "dataset.root: unknown key"),
    ("+dataset.resise=8", "dataset.resise: unknown key; did you mean dataset.resize?"),
    ("+experiment.lr=1", "experiment: "),
    ("hydra.foo=1", "hydra.foo: unknown key"),
    ("~nothing", "nothing"),
    ("model=dcgn", "model=dcgn: no such option; did you mean dcgan?"),
    ("experiment=articel", "experiment=articel: no such option; did you mean article?"),
    ("penalty=", "penalty=: no such option; known are "),
    ("model=null", "model=null: no such option; known are dcgan, fastgan, mlp, points, r3gan, resnet"),
    ("--multi-run", "--multi-run: unknown option; did you mean --multirun?"),
    ("--cfgg job", "--cfgg: unknown option; did you mean --cfg?"),
    ("--cfg", "--cfg: needs a value"),
    ("--cfg jobs", "--cfg jobs: must be job or hydra or all"),
    ("--info=nothing", "--info nothing: must be all or config"),
    ("--multirun=2", "--multirun: takes no value"),
    ("-m --cfg job", "-m --cfg: only one of them"),
    ("--resolve", "--resolve: "),
    ("--trust", "--trust: needs a value"),
    ("--again nowhere", "nowhere: is not the directory of a run"),
    ("--again latest", "latest: there is no run under outputs/ here"),
    ("--config-dir nowhere", "nowhere"),
    ("-m model=mlp,dcgn", "model=dcgn: no such option; did you mean dcgan?"),
]

SYNTAX = [
    ("mlp", "mlp: must be written key=value in one word, such as model=mlp"),
    ("lr", "lr: must be written key=value"),
    ("=5", "=5: has no key"),
    ("@x=5", "@x=5: has no key"),
    ("lr=", "lr=: must be a valid number"),
    ("lr=[1", "lr=[1: can't be read as key=value"),
    ("lr='1", "lr='1: can't be read as key=value"),
    ("lr==1", "lr==1: can't be read as key=value"),
    ("lr=1,2", "lr=1,2: several values are a sweep, which -m runs"),
    ("lr=${nothing}", "'nothing' not found"),
    ("lr=${oc.env:NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"),
    ("name=${name}", "Recursive interpolation"),
]

TYPES = [
    ("lr=abc", "lr=abc: must be a valid number"),
    ("lr=[1]", "lr=[1]: must be a valid number"),
    ("lr=null", "lr=null: must be a valid number"),
    ("lr=true", "lr=true: must be a valid number"),
    ("steps=1.5", "steps=1.5: must be a whole number"),
    ("steps=abc", "steps=abc: must be a whole number"),
    ("seed=-1", "seed=-1: must be greater than or equal to 0"),
    ("split_updates=2", "split_updates=2: must be true or false"),
    ("sampling=random", "sampling=random: must be 'with_replacement' or 'shuffled'"),
    ("display=loud", "display=loud: must be 'auto', 'live', 'plain' or 'quiet'"),
    ("name=a/b", "name=a/b: must begin with a letter or a digit"),
    ("name=../../outside", "name=../../outside: must begin with a letter or a digit"),
    ("name=~/x", "name=~/x: must begin with a letter or a digit"),
    ("name=_x", "name=_x: must begin with a letter or a digit"),
    ("name=null", "name=null: must be a valid string"),
    ("name=" + "x" * 101, "must have at most 100 characters"),
    ("device.threads=x", "device.threads=x: must be a whole number"),
    ("device.threads=0", "device.threads=0: must be greater than or equal to 1"),
    ("device.index=-1", "device.index=-1: must be greater than or equal to 0"),
    ("device.deterministic=3", "device.deterministic=3: must be true or false"),
    ("dataset.resize=abc", "dataset.resize=abc: must be a whole number or a list"),
    ("dataset.resize=0", "dataset.resize=0: must be greater than or equal to 1"),
    ("dataset.resize=[8,0]", "dataset.resize.1=0: must be greater than or equal to 1"),
    ("dataset.resize=[8]", "dataset.resize.1: is missing"),
    ("dataset.resize=[8,8,8]", "dataset.resize=[8, 8, 8]: must be a whole number or must have at most 2 items"),
    ("dataset=mnist dataset.root=null", "dataset.root=null: must be a valid string"),
    ("model.generator=5", "model.generator=5: is a group of keys; set those, or choose an option: model=dcgan|fast"),
    ("schedule.lr=cosine", "schedule.lr=cosine: schedule.lr is a group of keys; to choose cosine: schedule=cosine"),
    ("hydra.run.dir=", "hydra.run.dir=: is empty; name a directory, or leave it out"),
    ("model.generator.widths=8", "model.generator.widths=8: must be a list"),
    ("model.generator.widths=[8,x]", "model.generator.widths.1=x: must be a whole number"),
    ("model.generator.widths=[8,0]", "model.generator.widths.1=0: must be greater than or equal to 1"),
    ("model.generator.leak=-1", "model.generator.leak=-1: must be greater than or equal to 0"),
    ("model.generator.leak=nan", "model.generator.leak=nan: must be a finite number"),
    ("model.generator.batch_norm_momentum=1", "model.generator.batch_norm_momentum=1: must be less than 1"),
    ("optimizer.discriminator.lr=0", "optimizer.discriminator.lr=0: must be greater than 0"),
    ("optimizer.discriminator.lr=inf", "optimizer.discriminator.lr=inf: must be a finite number"),
    ("optimizer.generator.betas=[0.5,1.0]", "optimizer.generator.betas.1=1.0: must be less than 1"),
    ("optimizer.generator.betas=[-0.1,0.9]", "optimizer.generator.betas.0=-0.1: must be greater than or equal to 0"),
    ("optimizer.generator.betas=[nan,0.9]", "optimizer.generator.betas.0=nan: must be a finite number"),
    ("optimizer.generator.betas=[0.5]", "optimizer.generator.betas.1: is missing"),
    ("optimizer.generator.betas=0.5", "optimizer.generator.betas=0.5: must be a list"),
    ("+optimizer.generator.maximize=true", "optimizer.generator.maximize=true: must be False"),
    ("optimizer=sgd optimizer.generator.momentum=1", "optimizer.generator.momentum=1: must be less than 1"),
    ("optimizer=adamw optimizer.generator.weight_decay=-1", "optimizer.generator.weight_decay=-1: must be greater"),
    ("penalty=r1 penalty.gamma=0", "penalty.gamma=0: must be greater than 0"),
    ("penalty=r1 penalty.gamma=-inf", "penalty.gamma=-inf: must be a finite number"),
    ("schedule=linear schedule.lr.start=1", "schedule.lr.start=1: must be less than 1"),
    ("penalty=r1 penalty.every=0", "penalty.every=0: must be greater than or equal to 1"),
    ("penalty=r1 penalty.every=1.5", "penalty.every=1.5: must be a whole number"),
    ("penalty=wgan_gp penalty.weight=0", "penalty.weight=0: must be greater than 0"),
    ("penalty=none penalty.every=2", "penalty.every: unknown key"),
    ("augment=diffaugment augment.p=2", "augment.p=2: must be less than or equal to 1"),
    ("augment=diffaugment augment.cutout=-1", "augment.cutout=-1: must be greater than or equal to 0"),
    ("augment=ada augment.every=0", "augment.every=0: must be greater than or equal to 1"),
    ("augment=pipeline augment.p=1.5", "augment.p=1.5: must be less than or equal to 1"),
    ("augment=ada +augment.boundary=1", "augment.boundary: unknown key"),
    ("augment=ada augment.start_p=1.5", "augment.start_p=1.5: must be less than or equal to 1"),
    ("+augment.p=1", "augment=diffaugment augment.p=1"),
    ("loss=wgan loss.clip=0", "loss.clip=0: must be greater than 0"),
    ("loss.label_smoothing=1", "loss.label_smoothing=1: must be less than 1"),
    ("loss=hinge +loss.label_smoothing=0.1", "loss.label_smoothing: unknown key"),
    ("instance_noise=-1", "instance_noise=-1: must be greater than or equal to 0"),
    ("pac=0", "pac=0: must be greater than or equal to 1"),
    ("conditional=1", "conditional=1: must be true or false"),
    ("spectral_norm=maybe", "spectral_norm=maybe: must be true or false"),
    ("dataset=ring dataset.sigma=0", "dataset.sigma=0: must be greater than 0"),
    ("dataset=grid dataset.side=0", "dataset.side=0: must be greater than or equal to 1"),
    ("dataset=emnist dataset.split=all", "dataset.split=all: must be 'balanced', 'byclass', 'bymerge'"),
    ("dataset=folder dataset.root=. dataset.fit=zoom", "dataset.fit=zoom: must be 'crop', 'pad' or 'stretch'"),
    ("dataset=folder dataset.root=. dataset.channels=2", "dataset.channels=2: must be 'auto', 1, 3 or 4"),
    ("dataset=folder dataset.root=. dataset.size=0", "dataset.size=0: must be greater than or equal to 1"),
    ("dataset=folder dataset.root=. dataset.size=[8]", "dataset.size"),
    ("~lr", "'lr' not found"),
    ("~loss", "loss: is missing"),
]

TOGETHER = [
    ("model=dcgan dataset=ring", "dcgan makes images, and the data are points of the plane: set model=points"),
    ("split_updates=true penalty=r1", "split_updates=true can't be combined with a penalty"),
    ("model=dcgan dataset.resize=4", "dcgan can't make 4x4 images"),
    ("model=dcgan dataset.resize=[7,64]", "dcgan can't make 7x64 images"),
    ("dataset=folder", "dataset.root: has no default; set it with dataset.root=..."),
    ("experiment=folder_few", "dataset.root: has no default; set it with dataset.root=..."),
    ("dataset=folder dataset.root=nowhere", "dataset.root=nowhere: no such folder; name the one that holds your"),
    ("dataset=folder dataset.root=own/empty", "dataset.root=own/empty: no images there (looked for .png, .jpg"),
    ("dataset=folder dataset.root=own dataset.cache=file", "dataset.cache=file: can't be written ("),
    ("dataset=folder dataset.root=own dataset.size=3 model=dcgan", "dcgan can't make 3x3 images"),
    ("dataset=folder dataset.root=own dataset.size=null", "dataset.size=null: the images differ in size (a.png is "),
    ("dataset=folder dataset.root=own conditional=true", "conditional=true: folder has no labels; set conditional="),
    ("dataset=ring model=points augment=ada", "augment: ring has points, which can't be augmented; set augment=none"),
    (
        "augment=ada loss=wgan",
        "augment=ada adapts its p by the signs of D's logits, which have no meaning for Wasserstein",
    ),
    (
        "augment=ada loss=rpgan",
        "augment=ada adapts its p by the signs of D's logits, which have no meaning for Relativ",
    ),
    ("schedule=augment_ramp", "schedule.augment: there is no augment.p that it could multiply; set augment=pipeline"),
    ("schedule=augment_ramp augment=ada", "schedule.augment: there is no augment.p that it could multiply"),
    ("dataset=ring model=points +dataset.resize=8", "dataset.resize=8: ring has points, which can't be resized"),
    ("pac=3 batch_size=4", "pac=3"),
    (
        "loss=rpgan penalty=none split_updates=true",
        "split_updates=true needs a loss with a term for reals and one for fakes",
    ),
    ("latent_dim=1000000000000000", "model.generator: "),  # more memory than any machine has
    ("device=cuda device.index=999", "device"),
    ("hydra.run.dir=/proc/nothing", "/proc/nothing: can't be written ("),
    ("hydra.run.dir=file/below", "file/below: can't be written ("),
    ("hydra.sweep.dir=/proc/nothing -m lr=1e-4,2e-4", "/proc/nothing: can't be written ("),
    ("dataset=mnist dataset.root=/proc/nothing", "dataset.root=/proc/nothing: can't write there ("),
    ("dataset=mnist dataset.root=file", "dataset.root=file: can't write there ("),
]

WHOLE = "steps batch_size n_critic latent_dim log_every_steps sample_every_steps checkpoint_every_steps"
NUMBERS = {
    "int": [*WHOLE.split(), "keep_checkpoints", "grid_rows", "grid_columns"],
    "float": ["lr", "ema_halflife_kimg"],
}
RANGES = [
    (f"{key}={value}", f"{key}={value}: must be ")
    for kind, keys in NUMBERS.items()
    for key in keys
    for value in ["0", "-1", "nan", "inf", "-inf", "1.5"]
    # An average may have no half-life (it is then off), and a fraction is a number.
    if not (key == "ema_halflife_kimg" and value == "0") and not (kind == "float" and value == "1.5")
]

TARGETS = [
    ("loss._target_=5", "loss._target_=5: must be the dotted name of a class"),
    ("loss._target_=Hinge", "loss._target_=Hinge: must be the dotted name of a class"),
    ("loss._target_=os.system", "loss._target_=os.system: only gan_exp.losses may be named there; "),
    ("loss._target_=gan_exp.penalties.R1", "loss._target_=gan_exp.penalties.R1: only gan_exp.losses may be named"),
    ("loss._target_=gan_exp.losses_of_mine.X", "only gan_exp.losses may be named there"),
    ("loss._target_=gan_exp.losses.Hing", "loss._target_=gan_exp.losses.Hing: can't be imported ("),
    ("loss._target_=gan_exp.losses.", "loss._target_=gan_exp.losses.: can't be imported ("),
    # What a module merely imported is not part of it.
    ("loss._target_=gan_exp.losses.softplus", "is not a class or function of gan_exp.losses"),
    ("model.generator._target_=gan_exp.models.mlp.math.prod", "can't be imported ("),
    ("model.generator._target_=gan_exp.models.mlp.nn.Linear", "can't be imported ("),
    ("model.generator._target_=gan_exp.models.mlp.math", "is not a class or function of gan_exp.models.mlp"),
    ("dataset._target_=gan_exp.data.torchvision_sets.Path", "is not a class or function of"),
    ("dataset._target_=gan_exp.data.torchvision_sets.shutil.rmtree", "can't be imported ("),
    ("optimizer.generator._target_=torch.optim.adam.cast", "is not a class or function of torch.optim.adam"),
    ("optimizer.generator._target_=torch.load", "only torch.optim and gan_exp.optimizers may be named there"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [*UNKNOWN, *SYNTAX, *TYPES, *TOGETHER, *RANGES[::6], *TARGETS],
    ids=lambda value: value[:60].replace("/", "_"),
)
def test_bad_input(
    words: str, sentence: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAN_EXP_CACHE", "own/.packed")
    Path("file").touch()
    Path("own/empty").mkdir(parents=True)
    for name, size, gray in (("a", 20, 0), ("b", 10, 200)):
        Image.new("L", (size, 10), gray).save(f"own/{name}.png")
    # Short and silent, should it be taken for good.
    assert main(["train", "steps=1", "display=quiet", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("gan-exp: ")
    assert sentence in captured.err
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err + captured.out
    assert sorted(path.name for path in Path().iterdir()) in (["file", "own"], ["file", "outputs", "own"])
    if Path("outputs").exists():
        assert list(Path("outputs").iterdir()) == []


@pytest.mark.parametrize(("word", "sentence"), RANGES)
def test_every_number_has_its_range(word: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        check(composed([word]))


def test_no_network(
    in_tmp: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:1/"])  # a port where nobody listens
    assert main(["train", *tiny, "dataset=mnist", "dataset.root=data"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("gan-exp: dataset=mnist: the download failed (")
    assert "dataset=digits, which needs no download" in captured
    assert captured.count("\n") == 1
    assert not Path("outputs").exists()


def test_outputs_that_cannot_be_made(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs").write_text("not a directory")
    assert main(["train", *tiny]) == 2
    captured = capsys.readouterr().err
    assert "can't be written (" in captured
    assert "hydra.run.dir=" in captured
    assert captured.count("\n") == 1


# --- what `_target_` may name ------------------------------------------------------------------------------------


def test_a_target_is_refused_before_it_is_imported(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mischief.py").write_text("open('proof', 'w').close()\nclass Loss: ...\n")
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.delitem(sys.modules, "mischief", raising=False)
    assert main(["train", "loss._target_=mischief.Loss", "steps=1", "display=quiet"]) == 2
    assert not Path("proof").exists()
    with pytest.raises(UserError, match="--trust mischief"):
        resolve_target("loss", "mischief.Loss")
    assert not Path("proof").exists()
    monkeypatch.setenv("GAN_EXP_TRUST", "mischief")  # the proof proves something
    resolve_target("loss", "mischief.Loss")
    assert Path("proof").exists()


def test_arguments_of_the_users_own_code(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that is less tidy than ours: annotations that can't be read at run time, **settings."""
    Path("untidy.py").write_text(
        "from __future__ import annotations\n"
        "class Typed:\n    def __init__(self, width: Sized = 8): ...\n"
        "class Open:\n    def __init__(self, width: int = 8, *more, **settings): ...\n"
    )
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.setenv("GAN_EXP_TRUST", "untidy")
    plain = composed([])
    check({**plain, "loss": {"_target_": "untidy.Typed", "width": 9}})
    check({**plain, "loss": {"_target_": "untidy.Open", "width": 9, "anything": "else"}})
    with pytest.raises(UserError, match=r"loss\.width=x: must be a whole number"):
        check({**plain, "loss": {"_target_": "untidy.Open", "width": "x"}})
    with pytest.raises(UserError, match=r"loss\.wdth: unknown key; did you mean loss\.width\?"):
        check({**plain, "loss": {"_target_": "untidy.Typed", "wdth": 9}})


# --- anything at all ---------------------------------------------------------------------------------------------

PLAIN = composed([])
KEYS = st.sampled_from([*leaves(PLAIN), *PLAIN, "model.generator", "optimizer.generator.betas.0"]) | st.text(max_size=8)
YAML = """0 -1 1e400 .nan null '' [] {} [1,2] {a:1} yes 2026-01-01 2026-99-99 1:30 0x1F [ ${lr} abc 1_000"""
TRICKS = ["&a [*a]", "{a: 1}", "!!binary aGk=", "!!set {a}", "!!python/name:os.system", "9" * 5000]
WORDS = st.sampled_from([*YAML.split(), *TRICKS])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(st.lists(st.tuples(KEYS, WORDS | TEXT), min_size=1, max_size=3))
def test_a_run_that_exists_takes_any_override_or_refuses_it(pairs: list[tuple[str, str]]) -> None:
    try:
        config = check(apply_overrides(PLAIN, [f"{key}={value}" for key, value in pairs]))
    except UserError as error:
        assert str(error)
    else:
        assert isinstance(config, Config)
        assert check(config.model_dump()) == config


@pytest.mark.slow
@settings(
    max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.sampled_from(["", "", "", "+", "++", "~", "-"]), KEYS, WORDS | TEXT), max_size=3))
def test_the_command_line_takes_any_words_or_refuses_them(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], words: list[tuple[str, str, str]]
) -> None:
    code = main(["train", *(f"{sign}{key}={value}" for sign, key, value in words), "--cfg", "job"])
    captured = capsys.readouterr().err
    assert code in (0, 2)
    assert captured == "" if code == 0 else captured.startswith("gan-exp: ") and captured.count("\n") == 1
    assert list(in_tmp.iterdir()) == []
