"""The page in a headless Chromium: all its controls work, it reports no error, and it asks its own server alone."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from browsers import Opened, needs_browser, started_browser
from gan_exp.commands.play import make_server
from gan_exp.errors import UserError
from gan_exp.play import neighbours
from gan_exp.play.answers import Answers
from gan_exp.play.server import PageServer
from gan_exp.runs.run_dir import RunDir
from tiny_generators import CLASSES, tiny_generator
from waiting import LONGEST_WAIT_S

playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


def load_neighbours(generator: Any) -> Any:
    """Data for the conditional generator alone."""
    if not generator.conditional:
        raise UserError("dataset.root=<b>here: there is nothing")
    return lambda sample: SimpleNamespace(image=255 - sample, sentence="its negative <b>image")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[PageServer]]:
    """Of a generator without classes, and of one with classes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "load_neighbours", load_neighbours)
        servers = [make_server(RunDir("here/tiny"), tiny_generator(conditional), None) for conditional in (False, True)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


class Page(Opened):
    """An opened page whose first image is seen."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        super().__init__(browser, address, **context)
        self.wait_for("seed 0")

    def wait_for(self, words: str) -> list[int]:
        """The pixels of the image that has these words below it."""
        playwright.expect(self.page.locator("#caption")).to_contain_text(words)
        return self.pixels("#picture")

    def pixels(self, selector: str) -> list[int]:
        found: list[int] = self.page.locator(selector).evaluate("""async (image) => {
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, canvas.width, canvas.height).data].filter((_, k) => k % 4 === 0);
        }""")
        assert len(found) == 64
        return found

    def shows_all_of(self, selector: str) -> bool:
        """Whether it is within the window."""
        box, size = self.page.locator(selector).bounding_box(), self.page.viewport_size
        return bool(box["y"] >= 0 and box["y"] + box["height"] <= size["height"])

    def set(self, selector: str, value: str) -> None:
        self.page.locator(selector).fill(value)

    def click(self, selector: str) -> None:
        self.page.locator(selector).click()


@pytest.fixture
def plain(browser: Any, servers: list[PageServer]) -> Iterator[Page]:
    opened = Page(browser, servers[0].address)
    yield opened
    opened.close()


@pytest.fixture
def classes(browser: Any, servers: list[PageServer]) -> Iterator[Page]:
    opened = Page(browser, servers[1].address)
    yield opened
    opened.close()


def test_seeds_sliders_and_truncation_change_the_image(plain: Page) -> None:
    first = plain.pixels("#picture")
    assert plain.texts("h1") == ["tiny"] and plain.texts(".lede") == ["mlp on digits, step 1,234"]
    assert plain.count("[data-direction]") == 8 and plain.count("#label") == 0
    plain.set("#direction-0", "2.5")
    moved = plain.wait_for("direction 1: +2.5")
    plain.page.locator("#direction-1").press("ArrowLeft")
    both = plain.wait_for("direction 1: +2.5, 2: -0.1")
    plain.set("#truncation", "0.5")
    truncated = plain.wait_for("truncation 0.5")
    assert plain.texts("output[for=truncation]") == ["±0.5"]
    assert len({tuple(one) for one in (first, moved, both, truncated)}) == 4
    plain.page.locator("#truncation").press("End")
    plain.click("#reset")
    playwright.expect(plain.page.locator("#caption")).to_have_text("seed 0")
    assert plain.pixels("#picture") == first and plain.texts("output[for=truncation]") == ["off"]
    plain.click("#random")
    seed = plain.page.locator("#seed").input_value()
    other = plain.wait_for(f"seed {seed}")
    assert other != first
    plain.set("#seed", "0")
    playwright.expect(plain.page.locator("#caption")).to_have_text("seed 0")
    assert plain.pixels("#picture") == first
    plain.set("#seed", "-3")
    plain.page.locator("#seed").blur()
    assert plain.page.locator("#seed").input_value() == "0"


def test_classes_by_their_names(classes: Page) -> None:
    zero = classes.wait_for("seed 0 · class zero")
    assert classes.page.locator("#label option").all_inner_texts() == list(CLASSES)
    classes.page.locator("#label").select_option(label=CLASSES[2])
    assert classes.wait_for(f"seed 0 · class {CLASSES[2]}") != zero


def test_a_slider_leaves_no_backlog(plain: Page) -> None:
    """Of thirty values within a moment, the first and the last one are drawn."""
    asked: list[str] = []
    plain.page.on("request", lambda request: asked.append(request.post_data) if request.post_data else None)
    plain.page.evaluate("""() => {
        const slider = document.querySelector("#direction-0");
        for (let k = 1; k <= 30; k += 1) {
            slider.value = k / 10;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
        }
    }""")
    plain.wait_for("direction 1: +3")
    pictures = [json.loads(one)["start"]["shifts"] for one in asked if '"end"' not in one]
    assert pictures in ([[0.1], [3]], [[3]])  # the first one goes at once, unless a variation is on its way


def test_between_kept_images(classes: Page) -> None:
    first = classes.pixels("#picture")
    classes.click("#keep")
    assert classes.count("#between") == 0 and classes.count("#none-kept") == 1
    classes.set("#seed", "7")
    classes.page.locator("#label").select_option("1")
    second = classes.wait_for("seed 7 · class one")
    classes.click("#keep")
    slider = classes.page.locator("#position")
    assert slider.get_attribute("max") == "2"
    slider.fill("0.5")
    between = classes.wait_for("50 % from kept 1 to 2")
    assert between not in (first, second) and slider.get_attribute("aria-valuetext") == "50 % of the way from 1 to 2"
    slider.fill("1")
    assert classes.wait_for("0 % from kept 2 to 1") == second

    classes.click("#play-pause")
    marked = classes.page.locator("#tray [aria-current=true]")
    playwright.expect(marked).to_have_attribute("title", "seed 0 · class zero")
    classes.click("#play-pause")
    assert classes.texts("#play-pause") == ["Play"]
    classes.page.locator("#tray button:not(.drop)").first.click()
    assert classes.wait_for("seed 0 · class zero") == first
    assert classes.page.locator("#label").input_value() == "0"

    classes.page.reload()  # what was kept is there again
    assert classes.wait_for("seed 0 · class zero") == first and classes.count("#tray li") == 2
    classes.page.get_by_role("button", name="remove seed 7").click()
    assert classes.count("#tray li") == 1 and classes.count("#between") == 0


def test_images_that_are_waited_for_do_not_look_broken(browser: Any, servers: list[PageServer]) -> None:
    page = browser.new_context().new_page()
    page.route("**/image", lambda _: None)  # never answered
    page.goto(servers[0].address)
    playwright.expect(page.get_by_role("button", name="variation 3", exact=True)).to_be_visible()
    assert page.locator("#near img:not([src])").count() == 8 and page.locator("#near img:not([alt=''])").count() == 0
    page.context.close()


def test_variations_lie_near_and_can_be_taken(plain: Page) -> None:
    first = plain.pixels("#picture")
    playwright.expect(plain.page.locator("#near img[src^=blob]")).to_have_count(8)
    found = [plain.pixels(f"#near li:nth-child({k}) img") for k in (1, 8)]
    assert found[0] != found[1] and first not in found
    plain.page.locator("#near button").first.click()
    assert plain.wait_for("a latent of its own") == found[0]
    plain.set("#direction-2", "-1")
    assert plain.wait_for("a latent of its own · direction 3: -1") != found[0]


def test_image_and_latent_are_saved_and_opened(classes: Page, tmp_path: Path) -> None:
    classes.page.locator("#label").select_option("1")
    classes.set("#direction-0", "1")
    shown = classes.wait_for("class one · direction 1: +1")
    for button, name in (("#save-image", "image.png"), ("#save-latent", "latent.json")):
        with classes.page.expect_download() as caught:
            classes.click(button)
        assert caught.value.suggested_filename.startswith("tiny-seed_0-class_one-direction_1_+1.")
        caught.value.save_as(tmp_path / name)
    with Image.open(tmp_path / "image.png") as image:
        assert list(image.tobytes()) == shown
    content = json.loads((tmp_path / "latent.json").read_text())
    assert (content["step"], content["class"], content["label"]) == (1234, "one", 1)
    assert torch.tensor(content["latent"]).shape == (8,)
    classes.page.locator("#label").select_option("0")
    classes.page.locator("#file").set_input_files(tmp_path / "latent.json")
    assert classes.wait_for("a latent of its own · class one") == shown
    inverted = tmp_path / "inverted.npz"  # as gan-exp invert writes it
    np.savez(inverted, latent=np.zeros(8, np.float32), label=np.asarray(2))
    classes.page.locator("#file").set_input_files(inverted)
    assert classes.wait_for(f"a latent of its own · class {CLASSES[2]}") != shown
    (tmp_path / "latent.json").write_text('{"latent": [1, 2]}')
    classes.page.locator("#file").set_input_files(tmp_path / "latent.json")
    playwright.expect(classes.page.locator("#message")).to_have_text("latent.json holds no latent of 8 numbers.")


def test_the_nearest_training_image_follows(classes: Page, plain: Page) -> None:
    assert classes.count("#nearest img") == 0
    classes.click("#find-nearest")
    words = classes.page.locator("#nearest-words")
    playwright.expect(words).to_have_text("its negative <b>image")
    assert classes.pixels("#nearest-image") == [255 - one for one in classes.pixels("#picture")]
    classes.click("#find-nearest")
    assert classes.count("#nearest img") == 0

    plain.click("#find-nearest")
    words = plain.page.locator("#nearest-words")
    playwright.expect(words).to_have_text("dataset.root=<b>here: there is nothing")
    assert plain.count("#nearest img") == 0 and plain.count("#find-nearest") == 0


def test_directions_are_waited_for(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    find_directions = Answers.find_directions

    def late(self: Answers, count: int) -> None:
        found.wait(LONGEST_WAIT_S)
        find_directions(self, count)

    monkeypatch.setattr(Answers, "find_directions", late)
    with make_server(RunDir("here/tiny"), tiny_generator(), None) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        opened = Page(browser, server.address)
        assert opened.page.locator("#direction-0").is_disabled() and opened.count("#finding") == 1
        found.set()
        opened.set("#direction-0", "1")
        opened.wait_for("direction 1: +1")
        assert opened.count("#finding") == 0
        opened.close()
        server.shutdown()
        thread.join()


def test_the_image_stays_in_sight(classes: Page) -> None:
    for width, height in ((1280, 800), (390, 800)):
        classes.page.set_viewport_size({"width": width, "height": height})
        for selector in ("#direction-5", "#find-nearest"):
            classes.page.locator(selector).scroll_into_view_if_needed()
            assert classes.shows_all_of("#picture") and classes.shows_all_of(selector)


def test_on_a_phone_and_in_the_dark(browser: Any, servers: list[PageServer]) -> None:
    opened = Page(
        browser, servers[1].address, viewport={"width": 390, "height": 800}, has_touch=True, color_scheme="dark"
    )
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 23)"
    opened.click("#theme")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    unnamed = opened.page.evaluate("""() => [...document.querySelectorAll("input, select, button")]
        .filter((one) => !one.labels?.length && !one.ariaLabel && !one.textContent.trim())
        .filter((one) => !one.querySelector("img[alt]"))
        .map((one) => one.id)""")
    assert unnamed == []
    opened.close()


def test_when_the_server_has_ended(browser: Any) -> None:
    server = make_server(RunDir("here/tiny"), tiny_generator(), None)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    opened = Page(browser, server.address)
    opened.page.route("**/image", lambda route: route.abort())  # an open connection would still be answered
    opened.click("#random")
    message = opened.page.locator("#message")
    playwright.expect(message).to_have_text("The server does not answer; start it again with gan-exp play.")
    opened.page.unroute("**/image")
    opened.click("#random")
    playwright.expect(message).to_have_text("")
    opened.page.context.close()
    server.shutdown()
    server.server_close()
