"""Pages in a headless Chromium, driven by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from waiting import LONGEST_WAIT_S

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason=f"no browser: none of {', '.join(NAMES)}")


@contextmanager
def started_browser() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=LONGEST_WAIT_S * 1000)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page in the browser; it must ask nobody but its own server and report nothing on the console."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(LONGEST_WAIT_S * 1000)
        self.said: list[str] = []
        self.requests: list[str] = []
        self.own = [address] if address.startswith("http:") else []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def count(self, selector: str) -> int:
        return int(self.page.locator(f"{selector}:visible").count())

    def texts(self, selector: str) -> list[str]:
        return list(self.page.locator(f"{selector}:visible").all_inner_texts())

    def settle(self) -> None:
        """Wait until charts are drawn: two frames."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def close(self) -> None:
        outside = [url for url in self.requests if not url.startswith(("file:", "data:", "blob:", *self.own))]
        self.page.context.close()
        assert self.said == [] and outside == []
