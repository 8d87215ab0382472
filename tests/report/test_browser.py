"""The page in a headless Chromium: no errors, no requests, and all that can be pressed, dragged or typed works."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import Opened, needs_browser, started_browser
from gan_exp.comparison.records import read_runs
from gan_exp.report.many import page_of_many
from gan_exp.report.one import page_of_one
from made_up_runs import curves, write_run, write_sweep
from waiting import LONGEST_WAIT_S

playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one.html` about a run, `many.html` about a sweep of a hundred runs, `evil.html` about one full of HTML."""
    place = tmp_path_factory.mktemp("pages")
    write_run(
        place / "run",
        "model=dcgan",
        "steps=2000",
        records=curves(1, 2_000, 100),
        grids=range(0, 2_001, 500),
        step=2_000,
    )
    rates = [f"{number}e-5" for number in range(1, 11)]
    write_sweep(place / "sweep", rates, seeds=5, failed=[7, 33], every=20)
    evil = "</script><img src=x onerror=window.hit=1><script>window.hit=1</script>"
    records = [{**record, f"loss/{evil}": 1.0} for record in curves(1, 100, 10)]
    for number in range(3):
        write_run(
            place / "evil" / f"{number}-<img src=x onerror=window.hit=1>",
            "steps=100",
            config={"name": evil, "seed": number % 2, "lr": 0.1 * (1 + number // 2)},
            records=records,
            grids=[0],
            state="failed",
            reason=evil,
        )
    (place / "one.html").write_text(page_of_one(read_runs([place / "run"])[0]))
    (place / "many.html").write_text(page_of_many(read_runs([place / "sweep"]), "sweep", "here", place / "sweep"))
    (place / "evil.html").write_text(page_of_many(read_runs([place / "evil"]), evil, evil))
    return place


@pytest.fixture
def one(browser: Any, files: Path) -> Iterator[Opened]:
    opened = Opened(browser, (files / "one.html").as_uri())
    yield opened
    opened.close()


@pytest.fixture
def many(browser: Any, files: Path) -> Iterator[Opened]:
    opened = Opened(browser, (files / "many.html").as_uri())
    yield opened
    opened.close()


def test_the_slider_and_the_small_pictures_show_the_grids(one: Opened) -> None:
    slider, picture = one.page.locator("#step"), one.page.locator("[data-grid] img")
    assert one.texts("#step-value") == ["step 2,000"]
    last = picture.get_attribute("src")
    slider.focus()
    one.page.keyboard.press("ArrowLeft")
    assert one.texts("#step-value") == ["step 1,500"] and slider.get_attribute("aria-valuetext") == "step 1,500"
    assert picture.get_attribute("src") != last and picture.get_attribute("alt") == "samples of run at step 1,500"
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 40
    one.page.locator("[data-still]").first.click()
    assert one.texts("#step-value") == ["step 0"] and one.page.locator("[aria-current=true]").count() == 1
    one.page.locator("#play").click()
    playwright.expect(one.page.locator("#step-value")).to_have_text("step 2,000", timeout=LONGEST_WAIT_S * 1000)


def test_curves_are_smoothed_zoomed_and_drawn_on_logarithmic_axes(one: Opened) -> None:
    page = one.page
    loss = page.locator("figure.chart", has=page.locator("b", has_text="loss"))
    loss.scroll_into_view_if_needed()
    one.settle()
    assert loss.locator("path.line").count() == 2 and "generator" in loss.inner_text()

    def drawn() -> str:
        one.settle()
        return str(loss.locator("path.line:not(.raw)").first.get_attribute("d"))

    plain = drawn()
    page.locator("#smoothing").focus()
    page.keyboard.press("End")
    smoothed = drawn()
    assert smoothed != plain and loss.locator("path.raw").count() == 2
    assert loss.locator("path.raw").first.get_attribute("d") == plain
    page.keyboard.press("Home")
    assert drawn() == plain
    for control in ("#log-y", "#log-x"):
        page.locator(control).check()
        assert drawn() != plain
        page.locator(control).uncheck()
    assert drawn() == plain

    svg = loss.locator("svg")
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 80)
    assert "step" in loss.locator(".readout").inner_text()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 90)
    page.mouse.up()
    assert drawn() != plain and one.count("[data-zoom-reset]") == 1
    page.locator("[data-zoom-reset]").click()
    assert drawn() == plain and one.count("[data-zoom-reset]") == 0


def test_a_chart_can_be_read_and_zoomed_by_keys(one: Opened) -> None:
    svg = one.page.locator("figure.chart svg").first
    svg.focus()
    one.page.keyboard.press("ArrowRight")
    assert "step" in one.texts("figure.chart .readout")[0]
    one.page.keyboard.press("+")
    one.settle()
    assert one.count("[data-zoom-reset]") == 1 and "Arrow keys" in str(svg.get_attribute("aria-label"))
    one.page.keyboard.press("0")
    one.settle()
    assert one.count("[data-zoom-reset]") == 0


def test_a_chart_can_be_enlarged(one: Opened) -> None:
    figure = one.page.locator("figure.chart").first
    figure.hover()
    narrow = figure.bounding_box()["width"]
    figure.locator("button.size").click()
    one.settle()
    assert figure.bounding_box()["width"] > 1.5 * narrow and figure.locator("path.line").count() > 0
    assert figure.locator("button.size").get_attribute("aria-pressed") == "true"


def test_the_page_is_as_dark_as_the_system_and_can_be_switched(browser: Any, files: Path) -> None:
    opened = Opened(browser, (files / "one.html").as_uri(), color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = opened.page.evaluate(paper)
    opened.page.locator("#theme").click()
    light = opened.page.evaluate(paper)
    assert dark == "rgb(18, 21, 23)" and light == "rgb(255, 255, 255)"
    opened.close()


@pytest.mark.parametrize("name", ["one", "many"])
def test_nothing_is_wider_than_a_phone(browser: Any, files: Path, name: str) -> None:
    opened = Opened(browser, (files / f"{name}.html").as_uri(), viewport={"width": 390, "height": 800}, has_touch=True)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    opened.close()


def test_a_hundred_runs_fit(files: Path, many: Opened) -> None:
    assert (files / "many.html").stat().st_size < 15_000_000
    assert many.count("#runs tbody tr") == 100 and many.count("#groups tbody tr") == 20
    assert many.count("#failures .cause") == 2 and many.count(".tiles figure") == 100


def test_headers_sort_by_number_and_by_word(many: Opened) -> None:
    """With the pointer and with keys; empty cells come last either way."""
    header = many.page.locator("#runs th button", has_text="fid_cnn")
    header.click()
    column = 1 + many.texts("#runs th").index(next(text for text in many.texts("#runs th") if "fid_cnn" in text))

    def values() -> list[float]:
        *found, one, two = many.texts(f"#runs tbody td:nth-child({column})")
        assert one == "" == two  # of the failed runs
        return list(map(float, found))

    assert values() == sorted(values()) and len(values()) == 98
    header.focus()
    many.page.keyboard.press("Enter")
    assert values() == sorted(values(), reverse=True)
    assert many.page.locator("#runs th[aria-sort]").get_attribute("aria-sort") == "descending"
    many.page.locator("#runs th button", has_text="state").click()
    assert many.texts("#runs tbody td:nth-child(2)")[:3] == ["failed", "failed", "finished"]


def test_the_filter_governs_everything(many: Opened) -> None:
    many.page.locator("#filter").fill("model=mlp lr<=2e-5 fid_cnn<9")
    assert many.count("#runs tbody tr") == 10 == many.count(".tiles figure")
    assert many.texts("#filter-count") == ["10 of 100 runs"]
    many.settle()
    assert many.page.locator("#scatter circle").count() == 10
    chart = many.page.locator("figure.chart", has=many.page.locator("b", has_text="loss/generator"))
    chart.scroll_into_view_if_needed()
    many.settle()
    assert chart.locator("path.line").count() == 2 == chart.locator("path.band").count()
    many.page.locator("#each").check()
    many.settle()
    assert chart.locator("path.line").count() == 10
    many.page.locator("#filter").fill("state=failed")
    assert many.count("#runs tbody tr") == 2 == many.count("#failures .cause")
    for words, count in {
        "fid<9": 98,
        "name=*seed=0": 20,
        "seed=1,3": 40,
        "state!=finished": 2,
        "lr>nothing": 0,
        "": 100,
    }.items():
        many.page.locator("#filter").fill(words)
        assert many.count("#runs tbody tr") == count, words
    many.page.locator("#filter").fill("colour=red")
    assert many.count("#runs tbody tr") == 0 and "no run has colour" in many.texts("#filter-count")[0]
    many.page.locator("#filter").fill("dataset=digits seed>=4 dcgan")
    assert many.count("#runs tbody tr") == 10


def test_groups_are_shown_and_hidden(many: Opened) -> None:
    chart = many.page.locator("figure.chart", has=many.page.locator("b", has_text="fid_cnn"))
    chart.scroll_into_view_if_needed()
    many.settle()
    assert chart.locator("path.line").count() == 8  # the best ones
    many.page.locator("#legend button").first.click()
    many.settle()
    assert chart.locator("path.line").count() == 7
    assert many.page.locator("#legend button").first.get_attribute("aria-pressed") == "false"
    many.page.locator("#all-groups").click()
    many.settle()
    assert chart.locator("path.line").count() == 20
    many.page.locator("#colour").select_option("model")
    many.settle()
    colours = chart.locator("path.line").evaluate_all("(lines) => lines.map((line) => line.getAttribute('style'))")
    assert len(colours) == 20 and len(set(colours)) == 2


def test_a_parameter_against_a_metric(many: Opened) -> None:
    words = many.page.locator("#scatter text")
    assert {"mlp", "dcgan"} <= set(words.all_text_contents())
    assert "2 of 100 runs have no fid_cnn" in many.texts("#scatter-note")[0]
    before = many.page.locator("#scatter circle").first.get_attribute("cy")
    many.page.locator("#metric").select_option("coverage_cnn")
    assert many.page.locator("#scatter circle").first.get_attribute("cy") != before
    many.page.locator("#parameter").select_option("lr")
    many.page.locator("#metric").select_option("loss/generator")
    assert "lr" in words.all_text_contents() and many.page.locator("#scatter circle").count() == 100
    assert many.page.locator("#scatter circle.open").count() == 2  # they failed


def test_the_grids_of_all_runs_move_together(many: Opened) -> None:
    many.page.locator("#step").focus()
    assert many.count(".tiles .missing") == 2  # of the failed runs
    many.page.keyboard.press("Home")
    assert many.count(".tiles .missing") == 0 and many.texts("#step-value") == ["step 0"]


def test_html_from_runs_stays_text(browser: Any, files: Path) -> None:
    opened = Opened(browser, (files / "evil.html").as_uri())
    opened.page.locator("details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    opened.page.locator("#filter").fill("<img src=x onerror=window.hit=1>")
    for chart in opened.page.locator("figure.chart svg").all():
        chart.scroll_into_view_if_needed()
        chart.hover()
    opened.settle()
    assert opened.page.evaluate("window.hit") is None and opened.page.locator("img[src=x]").count() == 0
    opened.close()


def test_printing_draws_charts_that_were_never_seen(many: Opened) -> None:
    undrawn = "[...document.querySelectorAll('details[open] svg.plot')].filter((svg) => !svg.children.length).length"
    assert many.page.evaluate(undrawn) > 0
    assert many.page.pdf(format="A4").startswith(b"%PDF")
    assert many.page.evaluate(undrawn) == 0
