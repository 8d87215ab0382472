"""Anything at all on the command line and in the YAML files it reads: done, or refused with one sentence.

Always the same few; `GAN_EXP_FUZZ=40` makes forty times as many, drawn anew each time (`make test-fuzz`).
"""

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from builders import SMALL
from gan_exp.cli import main
from gan_exp.config.catalog import groups, known_keys
from gan_exp.training.run_log import RunLog
from gan_exp.training.trainer import Trainer

pytestmark = pytest.mark.slow

TIMES = float(os.environ.get("GAN_EXP_FUZZ", "1"))
SPARE_MEMORY = 3 << 30  # a wild value may ask for so much; more is refused, as on a machine without it

CHOICES = [f"{group}={option}" for group, options in groups().items() for option in options]
KEYS = sorted({key for choice in CHOICES for key in known_keys([choice])})
HYDRAS = "hydra.run.dir hydra.job.name hydra.foo hydra/launcher hydra/sweeper hydra.sweep.subdir hydra".split()  # noqa: SIM905


def examples(count: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=int(count * TIMES),
        derandomize=TIMES == 1,
        suppress_health_check=checks,
        database=None,
    )


# --- words -------------------------------------------------------------------------------------------------------

ODD = r"""
    -1 0 1 2 7 0.5 1e-4 1e400 -1e999 1_000 0x1F 0b1 1e 1. .5 nan .nan -inf inf true FALSE yes null ~ ??? '' "" ' "
    [] {} [1] [0.5,0.9] [8,8] [1,[2,[3]]] {a:1} {a:{b:2}} {_target_:os.system} [ ] ( ) { } [1 [1,,2] {a {a: 1: [???]
    , ,, a,b 1,2 x,,y ${lr} ${name} ${nothing} ${lr ${} ${${lr}} ${oc.env:NOT_SET_ANYWHERE} ${oc.env:HOME,x}
    ${oc.create:{a:1}} ${oc.decode:'1'} ${model} ${.lr} ${..steps} ${steps}x ${unknown:1} ${now:%Y} ${hydra:job.num}
    ${gan_exp.label:a/b} \ \\ \, \= a=b == = a:b :: 2026-01-01 2026-99-99 1:30 %s %(x)s $HOME `id` ~/x a b 日本 😀
    os.system gan_exp.losses.Hinge gan_exp.losses torch.optim.LBFGS gan_exp.data.toys.ring gan_exp.losses.nn.Module
    choice(1,2) range(1,3) interval(1,2) glob(*) sort(2,1) shuffle(1,2) int(1) str([1]) float(x) extend_list(1) tag(a,1)
    !!timestamp !!bool !!binary
""".split()  # noqa: SIM905
BIG = [str(sign * 10**power) for sign in (1, -1) for power in (12, 19, 30, 400)]
LONG = ["9" * 5000, "x" * 3000, "[" * 20 + "]" * 20, "{a:" * 15 + "1" + "}" * 15, "[" * 20, "0." + "1" * 3000]
LINES = ["\x1b[31m", "\u202e", "\ufeff", "a\nb", "\n", " ", "a b", "'a\nb'", "\r\n", "\x00", "\x7f", "\ud800"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10).filter(lambda text: "/" not in text)


def nested(values: SearchStrategy[str]) -> SearchStrategy[str]:
    keys = st.sampled_from(["a", "_target_", "lr", "1", "'b c'", "null"])
    pairs = st.tuples(keys, values).map(":".join)
    return st.lists(values, max_size=3).map(lambda v: f"[{','.join(v)}]") | st.lists(pairs, max_size=3).map(
        lambda v: f"{{{','.join(v)}}}"
    )


PLAIN = st.sampled_from(ODD) | st.integers(-3, 40).map(str) | st.floats().map(str)
VALUES = PLAIN | PLAIN | st.sampled_from([*BIG, *LONG, *LINES]) | TEXT | st.recursive(PLAIN, nested, max_leaves=5)
SIGNS = st.sampled_from([*[""] * 12, "+", "+", "++", "~", "+++", "~~", "-", "--", "@", ".", "/", " "])


@st.composite
def mistyped(draw: DrawFn) -> str:
    """A key with one letter more, less or another, or parts of it exchanged."""
    key = draw(st.sampled_from(KEYS))
    place = draw(st.integers(0, len(key)))
    odd = draw(
        st.sampled_from([*"x.@/~+:,[]{}$\\'\" \t\n", "..", "@model", "\x00", "é", "\u202e", "${lr}", ".0", "._target_"])
    )
    return draw(
        st.sampled_from([key[:place] + odd + key[place:], key[:place] + key[place + 1 :], key[:place], key * 2])
    )


CATALOGUE = st.sampled_from(KEYS)
ANY_KEY = CATALOGUE | CATALOGUE | CATALOGUE | mistyped() | st.sampled_from([*HYDRAS, "", ".", "_target_"]) | TEXT
OVERRIDES = st.tuples(SIGNS, ANY_KEY, VALUES).map(lambda word: f"{word[0]}{word[1]}={word[2]}")
TYPED = st.one_of(  # likely to be valid, so that many get through
    st.sampled_from(CHOICES),
    st.sampled_from(["lr=1e-3", "seed=7", "pac=2", "conditional=true", "spectral_norm=true", "steps=5", "n_critic=2"]),
    st.sampled_from(["dataset.resize=12", "dataset.resize=[9,16]", "split_updates=true", "ema_halflife_kimg=0"]),
)
FLAGS = "-m --multirun --run --resolve --info -i --cfg -h -- - -x".split()  # noqa: SIM905
OPTIONS = st.sampled_from(
    [
        *(["--cfg", kind] for kind in ("job", "all", "hydra", "x", "")),
        *([option] for option in FLAGS),
        *(["--trust", name] for name in ("os", "", "x.y", "\x00", "../x", "torch")),
        *(["--config-name", name] for name in ("config", "nothing", "../x", "", "experiment/ring", "a\nb", "model")),
        *(["--config-dir", name] for name in ("nowhere", "", "\x00", ".", "file")),
        *(["--config-path", name] for name in ("nowhere", ".", "pkg://nothing", "pkg://os")),
        *(["--package", name] for name in ("x", "_global_", "@", "a.b", "")),
        *([f"--info={kind}"] for kind in ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath", "x")),
        *(["--again", name] for name in ("nowhere", "", "\x00", "file", "latest")),
        ["-m", "lr=1,2"], ["-m", "lr=1,,2"], ["-m", "lr=[1,2"], ["-m", "seed=range(1,3)"], ["-m", "seed=choice(1"],
        ["-m", "model=mlp,nothing"], ["-m", "lr=0,-1"], ["-m", "name=a,b", "hydra.sweep.dir=sweep"], ["-m", "seed=1,1"],
        ["-m", "hydra/launcher=joblib"], ["-m", "hydra.sweeper.max_batch_size=0"], ["-m", "hydra.sweep.subdir=x"],
        ["-m", "hydra.sweep.subdir="], ["-m", "hydra.launcher._target_=os.system"], ["-m", "seed=glob(*)"],
        ["hydra.run.dir=some/where/deep"], ["hydra.run.dir="], ["hydra.run.dir=file"], ["hydra.run.dir=file/x"],
        ["hydra.run.dir=${name}"], ["hydra.run.dir=null"], ["hydra.run.dir=[1]"], ["hydra.run.dir=${x}"],
        ["hydra.output_subdir=records"], ["hydra.job.chdir=true"], ["hydra.mode=MULTIRUN"], ["hydra.mode=x"],
        ["hydra.verbose=true"], ["hydra/job_logging=default"], ["hydra/job_logging=x"], ["hydra.searchpath=[x]"],
        ["hydra.searchpath=[file:///nowhere]"], ["hydra.callbacks.a._target_=os.system"], ["hydra=null"], ["~hydra"],
        ["hydra.job.env_set={A:b}"], ["hydra.job.env_set={A:null}"], ["hydra.job.config=x"], ["hydra.runtime=1"],
    ]
)  # fmt: skip
COMMAND_LINES = st.tuples(
    st.sampled_from([*SMALL.values()]), st.lists(TYPED, max_size=2), st.lists(OVERRIDES, min_size=1, max_size=4)
).flatmap(lambda parts: st.permutations([*parts[1], *parts[2]]).map(lambda rest: [*parts[0], *rest]))


# --- what must hold ----------------------------------------------------------------------------------------------


@pytest.fixture
def place(in_tmp: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with `run` and `file` in it, where training is skipped, the network is away and memory ends."""

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network here")

    for of, step in ((Trainer, "train_until"), (Trainer, "save"), (Trainer, "sample"), (RunLog, "animate")):
        monkeypatch.setattr(of, step, lambda *_, **__: None)
    monkeypatch.setattr("gan_exp.runtime.start_ranks.start_ranks", lambda *_, **__: 0)
    monkeypatch.setattr("socket.socket.connect", unreachable)
    for name in ("GAN_EXP_DATA", "GAN_EXP_CACHE"):
        monkeypatch.setenv(name, str(in_tmp.parent / "data"))
    Path("file").write_text("no directory")
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE_MEMORY, hard))
    yield in_tmp
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def files_below(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def lives(place: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """The exit code of `gan-exp WORDS`, after the checks that hold for all commands; removes the files it made."""
    before = files_below(place)
    note(f"gan-exp {words!r}")
    capsys.readouterr()
    os.chdir(place)
    code = main(words)
    output = capsys.readouterr()
    note(output.err)
    made = files_below(place) - before
    for name in sorted(made, reverse=True):
        path = place / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    assert code in (0, 2)
    assert "Traceback" not in output.err + output.out
    sweeping = bool({"-m", "--multirun"} & set(words)) or "hydra.mode=MULTIRUN" in words
    if code == 2 and not sweeping:
        assert output.err.startswith("gan-exp: ") and output.err.count("\n") == 1 and output.err.endswith("\n")
        assert made <= {"outputs"}, made
    assert before <= files_below(place)
    return code


@examples(40)
@given(COMMAND_LINES)
def test_overrides(place: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    lives(place, ["train", "display=quiet", *words], capsys)


@examples(5)
@given(st.lists(OPTIONS | TYPED.map(lambda word: [word]), min_size=1, max_size=3))
def test_options(place: Path, capsys: pytest.CaptureFixture[str], options: list[list[str]]) -> None:
    lives(place, ["train", "display=quiet", *SMALL["mlp"], *(word for words in options for word in words)], capsys)


SAMPLE = ["sample", "run", "--force", "--count", "1"]
RUN_COMMANDS = st.sampled_from([["resume", "run"], ["train", "--again", "run"], SAMPLE])


@examples(60)
@given(RUN_COMMANDS, st.lists(OVERRIDES, min_size=1, max_size=3))
def test_overrides_of_a_run(
    place: Path, capsys: pytest.CaptureFixture[str], command: list[str], words: list[str]
) -> None:
    lives(place, [*command, *words], capsys)


# --- files -------------------------------------------------------------------------------------------------------

# An entry a line; its escapes are Python's.
YAMLS = r"""
-
{}
[]
null
5
text
"text
---
---\n1\n---\n2
!!python/object:os.system {}
!!python/name:os.system
!!binary a
!!bool x
!!int x
!!timestamp 9999-99-99
!!timestamp x
!!set {a}
&a [*a]
*a
<<: {<<: 1}
@
`
%
%YAML 9.9
a: b: c
a:\tb
{a: 1, a: 2}
? [a]: 1
\x00
1: 2
null: 1
true: 1
[1]: 2
_target_: os.system
???: 1
lr: {a: 1}
model: 5
seed: ${nothing}
defaults:
defaults: 5
defaults: [x]
defaults: [{a: b}]
defaults: [_self_, {x: null}]
hydra: {}
hydra: {run: {dir: x}}
generator: {_target_: os.system}
#
a: 1e400
a: .nan
""".strip().splitlines()
YAMLS = [line.encode().decode("unicode_escape") for line in YAMLS]
HEADS = ["", "# a comment\n", "# @package _global_\n", "# @package x\n", "# @package\n", "defaults:\n  - _self_\n"]
GROUPS = st.sampled_from([*groups(), "nothing", "hydra"])
OWN_FILES = st.tuples(
    st.sampled_from(HEADS), st.lists(st.sampled_from(YAMLS), max_size=3).map("\n".join) | TEXT
).map("".join).map(lambda text: text.encode(errors="replace")) | st.binary(max_size=20)  # fmt: skip


@examples(5)
@given(GROUPS, OWN_FILES, st.booleans())
def test_files_of_the_users_own(
    place: Path, capsys: pytest.CaptureFixture[str], group: str, content: bytes, chosen: bool
) -> None:
    own = place / "own" / group
    own.mkdir(parents=True)
    (own / "odd.yaml").write_bytes(content)
    words = ["--config-dir", "own", *SMALL["mlp"], "display=quiet", f"{group}=odd" if chosen else "lrr=1"]
    try:
        lives(place, ["train", *words], capsys)
        lives(place, ["train", "--config-dir", "own", "--help"], capsys)
        lives(place, ["completion", "__complete", f"gan-exp train --config-dir own {group}=odd {group}."], capsys)
    finally:
        shutil.rmtree(place / "own")


@st.composite
def spoilt(draw: DrawFn, text: bytes) -> bytes:
    """A configuration with bits flipped, lines lost or doubled, and values exchanged."""
    lines = text.split(b"\n")
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        line = bytearray(lines[number])
        match draw(st.sampled_from(["flip", "lose", "double", "exchange", "exchange", "indent", "key"])):
            case "flip" if line:
                line[draw(st.integers(0, len(line) - 1))] ^= 1 << draw(st.integers(0, 7))
                lines[number] = bytes(line)
            case "lose":
                del lines[number : number + draw(st.integers(1, 3))]
                lines = lines or [b""]
            case "double":
                lines.insert(number, bytes(line))
            case "exchange":
                value = draw(VALUES | st.sampled_from(YAMLS)).encode(errors="replace")
                lines[number] = bytes(line).partition(b":")[0] + b": " + value
            case "indent":
                lines[number] = b"  " + bytes(line)
            case "key":
                lines[number] = draw(TEXT).encode() + b":" + bytes(line).partition(b":")[2]
    return b"\n".join(lines)


@examples(60)
@given(
    st.sampled_from([["resume", "run", "steps=6"], ["resume", "run"], ["train", "--again", "run"], SAMPLE]),
    st.data(),
)
def test_a_runs_configuration(
    place: Path, capsys: pytest.CaptureFixture[str], command: list[str], data: st.DataObject
) -> None:
    config = place / "run" / "config.yaml"
    whole = config.read_bytes()
    config.write_bytes(data.draw(spoilt(whole)))
    note(config.read_text(errors="replace"))
    try:
        lives(place, command, capsys)
    finally:
        config.write_bytes(whole)
