"""The page names nothing outside, and nothing from a run becomes HTML."""

import base64
import hashlib
import json
import re
from dataclasses import replace

from gan_exp.play.page import render
from tiny_generators import CLASSES, tiny_generator

EVIL = "</script><img src=x onerror=alert(1)>"


def test_the_page_is_one_file_that_names_nothing_outside() -> None:
    page, policy = render(tiny_generator(), "here/run", "mlp on digits", 5)
    words = page.replace("http://www.w3.org/2000/svg", "")  # the name of SVG's elements
    assert not re.findall(r"https?:|//\w+\.\w|@import|url\(|<link(?! rel=\"icon\" href=\"data:,\")|<script src", words)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and policy.startswith("default-src 'none';")
    assert page.count("data-direction ") == 5 and 'id="label"' not in page


def test_html_from_a_run_stays_text() -> None:
    generator = tiny_generator(conditional=True)
    generator = replace(generator, config=generator.config.model_copy(update={"name": EVIL}))
    page, _ = render(generator, EVIL, EVIL, 0)
    assert "<img src=x" not in page and "<b>two" not in page and page.count("</script>") == 2
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert json.loads(data)["classes"] == list(CLASSES) and json.loads(data)["run"] == EVIL
    assert "Principal directions" not in page
