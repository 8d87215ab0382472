"""The page is one file that asks for nothing, and nothing from a run becomes HTML."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gan_exp.comparison.records import read_runs
from gan_exp.report.many import page_of_many
from gan_exp.report.one import page_of_one
from gan_exp.report.page import embedded, is_ours
from made_up_runs import curves, write_run, write_sweep

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt;'\"<!--"


class Reader(HTMLParser):
    """Counts tags, and keeps the text of scripts by their id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._script = dict(attrs).get("id") or "code" if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.words.append(data)
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def evil_run(place: Path, seed: int = 0) -> None:
    records = [{**record, f"loss/{EVIL}": 1.0} for record in curves(0, 100, 20)]
    write_run(
        place,
        "steps=100",
        config={"name": EVIL, "seed": seed, "lr": 0.1 + seed},
        records=records,
        grids=[0],
        state="failed",
        reason=EVIL,
        command=[f"name={EVIL}"],
    )
    (place / "checkpoints" / "step-00000100-cnn.evaluation.json").write_text(
        json.dumps({
            "format": 1,
            "step": 100,
            "metrics": {EVIL: {"mean": 1.0, "sd": None, "values": [1.0], "reason": EVIL}},
            "protocol": {"features": {"name": EVIL}, "samples": 3, "seeds": [0], EVIL: EVIL},
        })
    )  # fmt: skip


def check_harmless(text: str) -> Reader:
    page = Reader(text)
    assert page.tags.count("script") == 3 and set(page.scripts) == {"data", "images", "code"}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert EVIL not in text and EVIL in " ".join(page.words)
    json.loads(page.scripts["data"]), json.loads(page.scripts["images"])
    return page


def test_a_run_full_of_html(tmp_path: Path) -> None:
    evil_run(tmp_path / "run-<i>")
    page = check_harmless(page_of_one(read_runs([tmp_path])[0]))
    assert "i" not in page.tags and "run-<i>" in " ".join(page.words)
    assert f"loss/{EVIL}" in json.loads(page.scripts["data"])["series"][0]


def test_many_runs_full_of_html(tmp_path: Path) -> None:
    for seed in range(3):
        evil_run(tmp_path / f"{seed}-<i>", seed)
    page = check_harmless(page_of_many(read_runs([tmp_path]), EVIL, EVIL))
    assert "i" not in page.tags and page.tags.count("tr") > 3


def test_the_page_may_load_nothing(tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep", seeds=2)
    text = page_of_many(read_runs([tmp_path]), "sweep", "here", tmp_path / "sweep")
    page = Reader(text)
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in str(value))
    assert str(policy).startswith("default-src 'none'; img-src data:;")
    sources = [str(value) for name, value in page.attributes if name in ("src", "href", "action", "srcset", "data")]
    assert all(source.startswith(("#", "data:")) for source in sources)
    without_data = re.sub(r"<script type=.*?</script>", "", text, flags=re.DOTALL)
    assert set(re.findall(r"https?://[^\"' ]+", without_data)) == {"http://www.w3.org/2000/svg"}


def test_the_same_runs_make_the_same_page(tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep", seeds=2)
    one, two = (page_of_many(read_runs([tmp_path]), "sweep", "here") for _ in range(2))
    assert one == two


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "&amp;", "\u2028", "\ud800"])
def test_embedded_json(text: str) -> None:
    written = str(embedded({"a": text, "b": float("nan")}))
    assert json.loads(written) == {"a": text, "b": None}
    assert not set("<>&\u2028") & set(written) and written.isascii()


def test_our_own_pages_are_recognised(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "steps=100")
    page, other = tmp_path / "a.html", tmp_path / "b.html"
    page.write_text(page_of_one(read_runs([tmp_path])[0]))
    other.write_text("<!doctype html><title>gan-exp report</title>")
    assert is_ours(page) and not is_ours(other) and not is_ours(tmp_path / "none") and not is_ours(tmp_path)
