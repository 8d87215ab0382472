"""Which curves share a chart, and the order of the charts."""

from gan_exp.report.charts import chart_sections

TAGS = [
    "progress/kimg",
    "loss/generator",
    "loss/discriminator",
    "accuracy/real",
    "accuracy/fake",
    "evaluation/coverage_cnn",
    "evaluation/fid_cnn",
    "evaluation/panel_cnn",
    "samples/spread",
    "gradient_norm/generator",
]


def titles(many: bool) -> dict[str, list[str]]:
    sections = chart_sections(TAGS, {}, many, "fid_cnn")
    return {section["title"]: [chart["title"] for chart in section["charts"]] for section in sections}


def test_of_a_run_generator_and_discriminator_share_a_chart() -> None:
    assert titles(many=False) == {
        "Evaluations during training": ["fid_cnn", "coverage_cnn"],
        "Evaluations in detail": ["panel_cnn"],  # the panel's score sums it up
        "Losses and accuracy": ["loss", "accuracy"],
        "Samples beside the data": ["samples/spread"],
        "Gradient norms": ["gradient_norm/generator"],
        "Everything else": ["progress/kimg"],
    }


def test_of_many_runs_each_has_its_own() -> None:
    found = titles(many=True)
    assert found["Losses and accuracy"] == ["loss/discriminator", "loss/generator", "accuracy/fake", "accuracy/real"]
    assert [one["open"] for one in chart_sections(TAGS, {}, True)] == [True, False, True, False, False, False]


def test_a_chart_says_which_direction_is_better_and_whether_it_is_thinned() -> None:
    (section,) = chart_sections(["evaluation/fid_cnn"], {"evaluation/fid_cnn": 1_500}, False)
    assert section["charts"][0]["note"] == "lower is better; mean, lowest and highest of every 1,500 steps"
