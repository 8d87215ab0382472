"""What was logged is averaged over the time of the grids that are looked at."""

from gan_exp.diagnosis.history import History


def test_means_over_the_time_of_the_last_grids() -> None:
    history = History()
    for step in range(50, 501, 50):  # grids at 0, 100, 200, ..., after what is logged at the same step
        history.add({"step": step, "loss/generator": 1.0, "accuracy/real": float(step)})
        if step % 100 == 0:
            history.add({"step": step, "samples/spread": 1.0})
    assert history.logged("accuracy/real") == (450 + 500) / 2
    assert history.logged("accuracy/real", 2) == (350 + 400 + 450 + 500) / 4
    assert history.logged("accuracy/real", 99) == 275
    assert history.logged("accuracy/fake") is None and history.step == 500


def test_the_last_means_stand_for_grids_that_come_more_often() -> None:
    history = History()
    for record in ({"step": 100, "loss/generator": 1.0}, {"step": 110, "samples/spread": 1.0}):
        history.add(record)
    history.add({"step": 120, "samples/spread": 1.0})
    assert history.logged("loss/generator") == 1.0


def test_the_newest_evaluation_whatever_its_feature_space() -> None:
    history = History()
    assert history.evaluated("recall") is None
    history.add({"step": 1, "evaluation/recall_cnn": 0.5, "evaluation/nearer_cnn": 0.1})
    history.add({"step": 2, "evaluation/recall_pixels": 0.25})
    assert history.evaluated("recall") == 0.25 and history.evaluated("nearer") is None
