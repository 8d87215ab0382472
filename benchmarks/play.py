"""`python -m benchmarks.play [RUN ...]`: images a second on the page of `gan-exp play`, in a headless Chromium.

A slider is moved at each frame of the browser, as by a hand that never rests, and the images that it shows are counted.
Without RUN it is the default run, trained for a moment: the speed does not depend on what its weights are.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.machine import describe_machine, sentence
from benchmarks.tables import as_text

COMMAND = (sys.executable, "-m", "gan_exp")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MOVE = """(seconds) => new Promise((done) => {
    const slider = document.querySelector("#direction-0"), picture = document.querySelector("#picture");
    const began = performance.now(), shown = [began];
    picture.addEventListener("load", () => shown.push(performance.now()));
    const move = (now) => {
        slider.value = 4 * Math.sin(now / 300);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        if (now - began < 1000 * seconds) return requestAnimationFrame(move);
        const gaps = shown.slice(1).map((at, k) => at - shown[k]);
        done([shown.length - 1, Math.max(...gaps, performance.now() - shown.at(-1))]);
    };
    requestAnimationFrame(move);
})"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.play", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each measurement (default 5)")
    parser.add_argument("--quick", action="store_true", help="half a second each: to see that it works")
    options = parser.parse_args()
    print(sentence(describe_machine(1)), flush=True)
    rows = [("run", "images a second", "longest gap")]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        path = next(filter(None, map(shutil.which, NAMES)), None)
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for run in options.runs or [_default_run(Path(folder))]:
            with _served(run) as address:
                rows.append(_measure(browser, address, 0.5 if options.quick else options.seconds))
    print(as_text(rows), flush=True)
    return 0


def _default_run(folder: Path) -> str:
    words = ["steps=20", "display=quiet", f"hydra.run.dir={folder}/run"]
    subprocess.run([*COMMAND, "train", *words], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    return f"{folder}/run"


@contextmanager
def _served(run: str) -> Iterator[str]:
    """The address of the run's page."""
    words = [*COMMAND, "play", run, "--no-open"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            found = re.search(r"http://\S+", server.stdout.readline())
            if found is None:
                raise SystemExit(f"gan-exp play {run} gave no address")
            yield found[0]
        finally:
            server.terminate()


def _measure(browser: Any, address: str, seconds: float) -> tuple[str, str, str]:
    page = browser.new_page()
    page.goto(address)
    page.locator("#direction-0:enabled").wait_for()
    page.wait_for_timeout(1000)  # the variations are there as well
    images, gap = page.evaluate(MOVE, seconds)
    words = f"{page.locator('h1').inner_text()}: {page.locator('.lede').inner_text()}"
    page.close()
    return words, f"{images / seconds:.1f}", f"{gap:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
