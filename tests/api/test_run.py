"""A run from Python: its records without torch, its generator, and how a notebook shows it."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import gan_exp
from made_up_runs import curves, write_run
from written_runs import write_evaluation


@pytest.fixture
def recorded(in_tmp: Path) -> gan_exp.Run:
    run = write_run(Path("recorded"), records=curves(0, steps=400, every=50), grids=(0, 400))
    write_evaluation(run, 8000, {"fid_cnn": [1.0, 3.0]})
    return gan_exp.load("recorded")


def test_records_are_plain_values(recorded: gan_exp.Run) -> None:
    assert (recorded.state, recorded.step, recorded.path) == ("finished", 8000, Path("recorded").resolve())
    assert recorded.config["optimizer"]["generator"]["lr"] == 1e-3 and recorded.config["model"]["name"] == "mlp"
    assert [one.step for one in recorded.evaluations] == [100, 200, 300, 400, 8000]
    assert recorded.evaluations[-1].scores["fid_cnn"].mean == 2.0
    assert recorded.doctor()[0].name == "too early to say"


def test_the_configuration_is_read_only(recorded: gan_exp.Run) -> None:
    with pytest.raises(TypeError):
        recorded.config["optimizer"]["lr"] = 1.0  # type: ignore[index]


def test_metrics_have_a_row_for_each_step(recorded: gan_exp.Run) -> None:
    rows = recorded.metrics
    assert [row["step"] for row in rows] == list(range(50, 401, 50))
    assert {"loss/generator", "evaluation/fid_cnn"} <= set(rows[-1])  # which were written in two lines
    assert "evaluation/fid_cnn" not in rows[0]
    steps, values = recorded.curve("evaluation/fid_cnn")
    assert steps == [100, 200, 300, 400] and values == [row["evaluation/fid_cnn"] for row in rows[1::2]]
    with pytest.raises(gan_exp.UserError, match=r"^loss/genrator: recorded has no such metric; did you mean loss/gen"):
        recorded.curve("loss/genrator")


def test_a_run_that_has_begun_has_no_metrics_yet(recorded: gan_exp.Run) -> None:
    (recorded.path / "metrics.jsonl").write_text('{"step": 1, "loss/gen')  # it is being written
    assert recorded.metrics == []
    (recorded.path / "metrics.jsonl").unlink()
    with pytest.raises(gan_exp.UserError, match="it has recorded none yet"):
        recorded.curve("loss/generator")


def test_properties_follow_a_run_that_is_being_trained(recorded: gan_exp.Run) -> None:
    status = recorded.path / "status.json"
    status.write_text(json.dumps({**json.loads(status.read_text()), "state": "failed", "step": 9}))
    assert (recorded.state, recorded.step) == ("failed", 9)


def test_how_it_is_shown(recorded: gan_exp.Run) -> None:
    assert repr(recorded) == "<Run recorded: finished at step 8,000 of 8,000>"
    page = recorded._repr_html_()
    assert "finished at step 8,000 of 8,000" in page and '<img alt="samples" src="data:image/png;base64,' in page


def test_samples_are_functions_of_the_seed_and_the_index(trained: Path) -> None:
    run = gan_exp.load(trained)
    drawn = run.sample(5, seed=1)
    assert drawn.shape == (5, 1, 8, 8) and drawn.dtype == torch.float32 and drawn.abs().max() <= 1
    assert torch.equal(run.sample(2, seed=1, start=3), drawn[3:])
    assert torch.equal(run.sample(2, seed=1), drawn[:2]) and not torch.equal(run.sample(2), drawn[:2])
    assert run.sample(2, seed=1, truncation=0.1).std(0).mean() < drawn.std(0).mean()
    assert gan_exp.load(trained, average=False).sample(1, seed=1).ne(drawn[:1]).any()
    assert gan_exp.load(trained, checkpoint=2).sample(1, seed=1).ne(drawn[:1]).any()


def test_loading_and_sampling_draw_no_numbers_of_the_program(trained: Path) -> None:
    before = torch.get_rng_state()
    gan_exp.load(trained).sample(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_grid_is_a_picture(trained: Path) -> None:
    picture = gan_exp.load(trained).grid(5, columns=3)
    assert isinstance(picture, Image.Image) and picture.width > picture.height
    assert picture.getpixel((picture.width - 1, picture.height - 1)) == 0  # there is no sixth


def test_classes_by_name_and_number(in_tmp: Path, tiny: list[str]) -> None:
    run = gan_exp.train([*tiny, "conditional=true", "display=quiet"])
    assert torch.equal(run.sample(3, label="7"), run.sample(3, label=7))
    assert not torch.equal(run.sample(3, label=7), run.sample(3))
    assert run.grid().height > run.grid().width > run.grid(20, columns=20).height  # a named row to each of ten classes
    with pytest.raises(gan_exp.UserError, match=r"^label=ten: "):
        run.sample(1, label="ten")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"count": 0}, "count=0: must be at least 1"),
        ({"seed": -1}, "seed=-1: must be at least 0"),
        ({"start": -1}, "start=-1: must be at least 0"),
        ({"truncation": 0.0}, "truncation=0: must be above 0"),
        ({"label": 3}, "label=3: the run is not conditional; train one with conditional=true"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(trained: Path, wrong: dict[str, int], sentence: str) -> None:
    run = gan_exp.load(trained)
    for function in (run.sample, run.grid):
        with pytest.raises(gan_exp.UserError) as refused:
            function(**wrong)
        assert str(refused.value) == sentence
    with pytest.raises(gan_exp.UserError, match=r"^columns=0: must be at least 1"):
        run.grid(columns=0)


def test_a_run_or_checkpoint_that_is_not_there(trained: Path, in_tmp: Path) -> None:
    with pytest.raises(gan_exp.UserError, match=r"^latest: there is no run under outputs/ here"):
        gan_exp.load()
    with pytest.raises(gan_exp.UserError, match=r"^checkpoint=3: no such checkpoint; .* has 2, 4"):
        gan_exp.load(trained, checkpoint=3)
    with pytest.raises(gan_exp.UserError, match=r"^trust='mine': must be a list of strings, such as trust="):
        gan_exp.load(trained, trust="mine")
    with pytest.raises(gan_exp.UserError, match=r"^device='tpu': must be 'auto', 'cpu', 'cuda' or 'mps'"):
        gan_exp.load(trained, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(gan_exp.UserError, match=r"^device=cuda: no CUDA GPU can be used here"):
            gan_exp.load(trained, device="cuda").sample(1)
