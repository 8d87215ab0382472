"""Mistakes that users make: words, a piece of the sentence that answers them, and what it must not hold."""

import copy
import functools
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_exp import cli
from gan_exp.commands.train_words import parse
from gan_exp.config.catalog import conf_dir, groups, known_keys
from gan_exp.config.check import check
from gan_exp.config.hydra_support import register_resolvers
from gan_exp.config.mistakes import synonyms
from gan_exp.config.mistakes.hydra_errors import explain
from gan_exp.config.mistakes.unknown import unknown_key, unknown_option
from gan_exp.errors import UserError, similarity

MISTAKES = [
    # options
    ("device=gpu", "device=gpu: no such option; did you mean cuda?", "cpu"),
    ("device=cuda:1", "did you mean device=cuda device.index=1?", "cpu"),
    ("device=0", "did you mean device=cuda device.index=0?", "cpu"),
    ("device=apple", "did you mean mps?", "cpu"),
    ("dataset=hinge", "hinge is a loss: loss=hinge", "ring"),
    ("dataset=hing", "hinge is a loss: loss=hinge", "ring"),
    ("dataset=/data/pics", "for a folder of images: dataset=folder dataset.root=/data/pics", "did you mean"),
    ("dataset=MNIST", "did you mean mnist?", "kmnist"),
    ("dataset=cifar", "did you mean cifar10?", "known are"),
    ("dataset=fashion", "did you mean fashion_mnist?", "known are"),
    ("dataset=imagefolder", "dataset=folder dataset.root=path/to/images", "did you mean"),
    ("dataset=imagenet", "known are celeba, cifar10", "did you mean"),
    ("loss=wgan_gp", "wgan_gp is a penalty, which goes with the Wasserstein loss: loss=wgan", "did you mean"),
    ("loss=bce", "did you mean non_saturating?", "known are"),
    ("loss=r1", "r1 is a penalty: penalty=r1", "did you mean"),
    ("loss=r3gan", "did you mean rpgan?", "model"),
    ("penalty=gp", "did you mean wgan_gp?", "known are"),
    ("penalty=hinge", "hinge is a loss: loss=hinge", "did you mean"),
    ("model=mnist", "mnist is a data set: dataset=mnist", "did you mean"),
    ("model=sngan", "model=resnet spectral_norm=true", "dcgan"),
    ("model=stylegan", "known are dcgan, fastgan, mlp, points, r3gan, resnet", "did you mean"),
    ("model=null", "model=null: no such option; known are dcgan", "did you mean"),
    ("model=[1,2]", "model=[1,2]: no such option; known are dcgan", "configuration"),
    ("dataset=[a]", "dataset=[a]: no such option; known are celeba", "did you mean"),
    ("penalty=[r1]", "penalty=[r1]: no such option; known are dragan, none, r1", "did you mean"),
    (
        "model.generator=[1]",
        "model.generator=[1]: is a group of keys; set those, or choose an option: model=dcg",
        "Err",
    ),
    ("optimizer=Adam", "did you mean adam?", "adamw"),
    ("optimizer=lion", "known are adam, adamw", "did you mean"),
    ("augment=true", "did you mean diffaugment or ada?", "string or a list"),
    ("schedule=none", "did you mean constant?", "known are"),
    ("experiment=wgan_gp", "did you mean wgan_gp_cifar10 or wgan_gp_mnist?", "penalty"),
    ("experiment=mnist", "dcgan_mnist", "data set"),
    ("-m model=mlp,dcgn", "model=dcgn: no such option; did you mean dcgan?", "known are"),
    # keys
    ("epochs=10", "an epoch has images / batch_size of them (60,000 / 64 = 938): set steps=", "did you mean"),
    ("iterations=10", "did you mean steps=10?", "epoch"),
    ("learning_rate=1e-3", "did you mean lr=1e-3?", "help"),
    ("optimizer.lr=1e-3", "lr=... sets it for both networks, optimizer.discriminator.lr=... for D alone", "did you"),
    ("optimizer.generator.learning_rate=1", "did you mean optimizer.generator.lr=1?", "known are"),
    ("optimizer.betas=[0.5,0.9]", "optimizer.generator.betas=... and optimizer.discriminator.betas=...", "did you"),
    ("beta1=0.5", "optimizer.generator.betas=[0.5,0.999]", "did you mean"),
    ("discriminator.lr=1e-4", "discriminator.lr: unknown key; did you mean optimizer.discriminator.lr?", "help"),
    ("batch=32", "did you mean batch_size=32?", "help"),
    ("bs=32", "did you mean batch_size=32?", "help"),
    ("batch-size=32", "did you mean batch_size?", "help"),
    ("LR=1e-3", "did you mean lr?", "help"),
    ("z_dim=64", "did you mean latent_dim=64?", "help"),
    ("nz=64", "did you mean latent_dim=64?", "help"),
    ("workers=4", "there are no worker processes", "did you mean"),
    ("accumulation_steps=4", "micro_batch_size=... sets how many images of a batch go through", "did you mean"),
    ("micro_batch=4", "did you mean micro_batch_size=4?", "help"),
    ("gpus=2", "device.processes=... trains on so many GPUs", "did you mean"),
    ("out_dir=x", "did you mean hydra.run.dir=x?", "help"),
    ("resolution=32", "did you mean dataset.resize=32?", "help"),
    ("image_size=32 dataset=folder", "did you mean dataset.size=32?", "resize"),
    (
        "dataset.root=/x",
        "dataset=folder, celeba, cifar10 and others have it: dataset=folder dataset.root=/x",
        "held_out",
    ),
    (
        "penalty=none penalty.gamma=10",
        "penalty=r1, r1_r2 or r1_r2_fd have it: penalty=r1 penalty.gamma=10",
        "did you mean",
    ),
    ("penalty=none +penalty.gamma=10", "penalty=r1 penalty.gamma=10", "did you mean"),
    ("penalty=none gamma=10", "penalty=r1 penalty.gamma=10", "did you mean"),
    ("penalty=none penalty.gama=10", "penalty=r1 penalty.gamma=10", "did you mean"),
    ("penalty.weight=1", "penalty=wgan_gp penalty.weight=1", "gamma"),
    ("augment.p=0.5", "augment=diffaugment augment.p=0.5", "did you mean"),
    ("loss.clip=0.1", "loss=wgan has it: loss=wgan loss.clip=0.1", "did you mean"),
    (
        "model.generator.width=8",
        "did you mean model.generator.widths? model=dcgan, fastgan, r3gan and others have it",
        "help",
    ),
    ("widths=[8]", "did you mean model.generator.widths or model.discriminator.widths?", "help"),
    ("optimizer.generator.momentum=0.9", "optimizer=sgd has it: optimizer=sgd optimizer.generator.m", "betas"),
    ("weight_decay=1e-4", "optimizer=adamw has optimizer.generator.weight_decay", "did you mean"),
    ("noise=0.1", "did you mean instance_noise?", "help"),
    ("experiment=ring model.generator.scal=1", "did you mean model.generator.scale?", "leak"),
    ("lr.x=1", "lr is a value and has no keys", "did you mean"),
    ("dropout=0.5", "dropout: unknown key; gan-exp train --help lists the keys", "did you mean"),
    ("foo.bar=0.5", "foo.bar: unknown key; gan-exp train --help lists the keys", "did you mean"),
    ("hydra.foo=1", "hydra.foo: unknown key; gan-exp train --help lists the keys", "did you mean"),
    # values and words
    ("steps=1.5", "steps=1.5: must be a whole number", "integer"),
    ("conditional=maybe", "conditional=maybe: must be true or false", "boolean"),
    ("device.precision=bfloat16", "did you mean bf16?", "known are"),
    ("device.precision=fp32", "did you mean float32?", "known are"),
    ("lr=0,0002", "a fraction is written lr=0.0002", "list"),
    ("dataset.resize=(32,32)", "a list is written dataset.resize=[32,32]", "sweep"),
    ("lr=1e-4;", "other signs need quotes around the value", "hydra.cc"),
    ("best_metric=FID", "did you mean fid?", "kid?"),
    ("experiment/ring", "such as experiment=ring", "model"),
    ("hydra.run.dir", "such as hydra.run.dir=...", "model"),
    ("lr=1e-4,2e-4", "several values are a sweep, which -m runs one by one", "fraction"),
    ("lr 1e-3", "lr: must be written key=value in one word, such as lr=...", "model"),
    ("dataset mnist", "dataset: must be written key=value in one word, such as dataset=digits", "model"),
    ("mnsit", "such as dataset=mnist", "model"),
    ("steps:100", "such as steps=100", "model"),
    ("latest", "`gan-exp resume latest` continues that run", "key=value"),
    ("dataset.root=/x/Fotos (2024)", "quotes around the whole word: 'dataset.root=/x/Fotos (2024)'", "model"),
    ("--lr 1e-3", "settings are written without dashes: lr=1e-3", "did you mean"),
    ("--batch-size=32", "settings are written without dashes: batch_size=32", "did you mean"),
    ("--epochs 10", "an epoch has images / batch_size", "did you mean"),
    ("--dry-run", "did you mean --cfg job?", "known are"),
    ("--output x", "hydra.run.dir=x", "did you mean"),
]


@pytest.fixture(scope="module", autouse=True)
def each_file_read_once() -> Iterator[None]:
    """Composing takes a tenth of a second, nearly all of it for YAML files that stay the same."""
    read = functools.cache(FileConfigSource.load_config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            FileConfigSource, "load_config", lambda source, config_path: copy.deepcopy(read(source, config_path))
        )
        patch.setattr(FileConfigSource, "__hash__", lambda source: hash(source.path), raising=False)
        patch.setattr(FileConfigSource, "__eq__", lambda source, other: source.path == other.path, raising=False)
        yield


def composed(words: list[str]) -> dict[str, Any]:
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", overrides=words), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def sentence(words: list[str]) -> str:
    """What `gan-exp train WORDS` says of them before anything is built."""
    with pytest.raises(UserError) as caught:
        words = parse(words).for_hydra
        overrides = [word.replace("mlp,", "") for word in words if word != "-m"]  # the first job of a sweep is right
        try:
            plain = composed(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error, words)) from error
        check(plain)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "piece", "never"), MISTAKES, ids=lambda value: value[:40].replace("/", "_"))
def test_mistakes_of_train(words: str, piece: str, never: str) -> None:
    captured = sentence(words.split())
    assert piece in captured
    assert never not in captured.replace(words, "")


@pytest.mark.parametrize(
    ("words", "piece", "never"),
    [
        ("resume latest --steps 20", "settings are written without dashes: steps=20", "did you mean"),
        ("resume latest --epochs 20", "an epoch has images / batch_size", "did you mean"),
        ("sample latest --num 16", "did you mean --count?", "known are"),
        ("sample latest count=16", "count=16: is written --count 16", "known are"),
        ("sample latest --steps 16", "--steps: unknown option; known are --help, --count", "did you mean"),
        ("evaluate latest --metric fid", "did you mean --metrics?", "known are"),
        ("export latest -o x", "did you mean --output?", "known are"),
        ("generate latest", "did you mean sample?", "known are"),
        ("eval latest", "did you mean evaluate?", "known are"),
        ("sweep lr=1,2", "did you mean train -m?", "known are"),
        ("lr=1e-3 model=mlp", "did you mean gan-exp train lr=1e-3 model=mlp?", "known are"),
        ("frobnicate", "known are train, resume", "did you mean"),
    ],
)
def test_mistakes_of_other_commands(words: str, piece: str, never: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(shlex.split(words)) == 2
    captured = capsys.readouterr().err
    assert piece in captured
    assert never not in captured
    assert captured.count("\n") == 1


def test_there_are_forty() -> None:
    assert len({words for words, *_ in MISTAKES}) >= 40


def test_synonyms_lead_to_what_exists() -> None:
    available = groups()
    every = {name for group in available for option in available[group] for name in known_keys([f"{group}={option}"])}
    for key in synonyms.KEYS:
        assert key not in every
        asked = unknown_key(key, known_keys(), [f"{key}=1"], anew=False).partition("did you mean ")[2].rstrip("?")
        assert {word.partition("=")[0] for word in asked.split() if "=" in word} <= {*every, "hydra.run.dir"}, asked
    for group, option in synonyms.OPTIONS:
        assert option not in available[group]
        asked = unknown_option(group, option, available[group]).partition("did you mean ")[2].rstrip("?")
        assert all(word in available[group] for word in asked.split(" or ") if word), asked


@pytest.mark.parametrize(("word", "name"), [("gpu", "cpu"), ("hinge", "ring"), ("foo", "pac"), ("rate", "name")])
def test_words_that_are_not_alike(word: str, name: str) -> None:
    assert similarity(word, name) < 0.75


@pytest.mark.parametrize("text", ["2.5e1", "25.0"])
@pytest.mark.parametrize("key", ["steps", "dataset.count", "model.generator.widths.0", "penalty.every"])
def test_whole_numbers_may_be_written_so(key: str, text: str) -> None:
    shown = f"model.generator.widths=[{text}]" if key.endswith(".0") else f"{key}={text}"
    node: object = check(composed(["dataset=ring", "model=points", "penalty=r1", shown])).model_dump()
    for part in key.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]  # type: ignore[index]
    assert node == 25
    assert type(node) is int


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("No", False), ("on", True), ("off", False)])
def test_switches_may_be_written_so(text: str, value: bool) -> None:
    words = ["dataset=folder", "dataset.root=x", f"conditional={text}", f"dataset.skip_broken={text}"]
    config = check(composed(words))
    assert config.conditional is value
    assert config.dataset["skip_broken"] is value
