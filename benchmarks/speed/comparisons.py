"""The loops of each comparison. To add one, name its function here; `worker.py` says how it is called."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.speed import floor, keras_env
from benchmarks.speed.measure import Loop

GRID_EVERY, CHECKPOINT_EVERY = 200, 1000


@dataclass(frozen=True)
class Comparison:
    """Speedups are relative to `reference`; the sum of the loops in `floor` is the least that a step can take."""

    name: str
    title: str
    loops: list[Loop]
    reference: str
    floor: tuple[str, ...] = ()

    def quick(self) -> "Comparison":
        """The same with a twentieth of the iterations, to test that everything runs."""
        loops = [replace(loop, count=None if loop.count is None else max(2, loop.count // 20)) for loop in self.loops]
        return replace(self, loops=loops)


def comparisons(root: str | None, keras: Path | None) -> list[Comparison]:
    """`root` holds MNIST/raw, None for drawn strokes; `keras` is the Python of its environment, if there is one."""
    return [
        _article(root, keras),
        _floor(root),
        *(_mlp(batch_size, root) for batch_size in (32, 64)),
        *(_dcgan(batch_size, count, root) for batch_size, count in ((64, 20), (128, 10))),
    ]


def _data(root: str | None) -> list[str]:
    return ["dataset=bench_digits", f"dataset.root={root or 'null'}"]


def _whole(name: str, overrides: list[str], count: int = CHECKPOINT_EVERY) -> Loop:
    return Loop(name, "benchmarks.speed.ours:whole_run", {"overrides": overrides}, count)


def _bare(name: str, overrides: list[str], count: int | None = 200) -> Loop:
    return Loop(name, "benchmarks.speed.ours:bare_step", {"overrides": overrides}, count)


def article_overrides(root: str | None = None) -> list[str]:
    return ["experiment=article", *_data(root), f"checkpoint_every_steps={CHECKPOINT_EVERY}"]


def _article(root: str | None, keras: Path | None) -> Comparison:
    """One iteration: two updates of D, one of G, at batch 32."""
    rows = [
        ("Keras + TensorFlow, predict (the article's code)", "tensorflow", "predict"),
        ("Keras + TensorFlow, predict_on_batch", "tensorflow", "predict_on_batch"),
        ("Keras + JAX, predict_on_batch", "jax", "predict_on_batch"),
    ]
    peers = [
        Loop(
            name,
            "benchmarks.speed.article_keras:article",
            {"predict": predict, "root": root},
            GRID_EVERY,
            str(keras),
            keras_env.variables(backend),
        )
        for name, backend, predict in rows
        if keras is not None
    ]
    overrides = article_overrides(root)
    ours = [_whole("gan-exp train", overrides), _bare("gan-exp, training step alone", overrides)]
    reference = peers[0].name if peers else ours[0].name
    return Comparison("article", "The article's recipe, MLP at 28x28, batch 32", [*peers, *ours], reference)


def _floor(root: str | None) -> Comparison:
    overrides = article_overrides(root)
    flop = sum(product.flop for product in floor.products(32))
    floors = (
        Loop("the step's matrix products", "benchmarks.speed.floor:matrix_products", work=(flop / 1e9, "GFLOP")),
        Loop("the step's fused Adam", "benchmarks.speed.floor:adam", work=(floor.adam_bytes() / 1e9, "GB")),
    )
    machine = (
        Loop("large matrix products", "benchmarks.speed.floor:large_products", work=(2e-9 * floor.LARGE**3, "GFLOP")),
        Loop("triad (memory bandwidth)", "benchmarks.speed.floor:triad", work=(12e-9 * floor.TRIAD_LENGTH, "GB")),
    )
    ours = [_whole("gan-exp train", overrides), _bare("gan-exp, training step alone", overrides)]
    title = "The article's training step and its arithmetic"
    return Comparison("floor", title, [*ours, *floors, *machine], ours[1].name, tuple(loop.name for loop in floors))


def _peer(script: str, batch_size: int, size: int, root: str | None, count: int) -> Loop:
    arguments = {"script": script, "batch_size": batch_size, "size": size, "root": root}
    return Loop(f"PyTorch-GAN's {script}", "benchmarks.speed.peer:peer_loop", arguments, count)


def _recipe(batch_size: int, root: str | None, *overrides: str) -> list[str]:
    """As the peers: Adam 2e-4, one D update on reals and fakes together, no EMA, one forward pass of G per step."""
    groups = ["loss=non_saturating", "penalty=none", "optimizer=adam", "schedule=constant"]
    common = [f"batch_size={batch_size}", "lr=2e-4", "ema_halflife_kimg=0", "reuse_fakes=true"]
    return [*_data(root), *groups, *common, *overrides]


def _mlp(batch_size: int, root: str | None) -> Comparison:
    often = [f"sample_every_steps={GRID_EVERY}", f"checkpoint_every_steps={CHECKPOINT_EVERY}"]
    same = _recipe(batch_size, root, "model=peer_mlp", *often)
    own = _recipe(batch_size, root, "model=mlp", "model.generator.widths=[128,256,512,1024]", *often)
    peer = _peer("gan.py", batch_size, 28, root, count=400)  # the period of its grids
    ours = [
        _whole("gan-exp train, the same networks", same),
        _bare("gan-exp, the same networks, training step alone", same),
        _whole("gan-exp train, model=mlp of these widths", own),
        _bare("gan-exp, model=mlp of these widths, training step alone", own),
    ]
    title = f"PyTorch-GAN's gan.py, MLP at 28x28, batch {batch_size}"
    return Comparison(f"mlp-{batch_size}", title, [peer, *ours], peer.name)


def _dcgan(batch_size: int, count: int, root: str | None) -> Comparison:
    """Our run logs, draws a grid and saves once per chunk: 10 to 50 times as often as it would by default."""
    often = [f"{what}_every_steps={2 * count}" for what in ("log", "sample", "checkpoint")]
    plain = _recipe(batch_size, root, "model=peer_dcgan", "dataset.resize=32", *often)
    folded = [*plain, "model.generator.folded=true"]
    peer = _peer("dcgan.py", batch_size, 32, root, count)
    ours = [
        _whole("gan-exp train, the same layers", plain, 2 * count),
        _whole("gan-exp train, upsampling folded into the convolutions", folded, 2 * count),
        _bare("gan-exp, folded, training step alone", folded, count),
    ]
    title = f"PyTorch-GAN's dcgan.py at 32x32, batch {batch_size}"
    return Comparison(f"dcgan-{batch_size}", title, [peer, *ours], peer.name)
