"""The page: one HTML file with style and script inside, and what is known of the generator."""

from functools import partial

from markupsafe import Markup

from gan_exp import __version__
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.report.page import asset, embedded, joined, templates

own_asset = partial(asset, room="play")
SHARED_SCRIPTS = ("dom.js", "theme.js")
SCRIPTS = ("ask.js", "latent.js", "controls.js", "thumbs.js", "nearest.js", "start.js")
REACH = 4  # of the sliders, in standard deviations
SMALL = 160  # pixels; smaller images are shown with sharp pixels, larger ones smoothly


def render(generator: TrainedGenerator, run: str, about: str, directions: int) -> tuple[str, str]:
    """The page, and the policy that lets it load nothing but its images from this server."""
    name = generator.config.name
    _, height, width = generator.spec.image_shape
    read_data = 'const data = readJson("data");'
    script, script_hash = joined([*map(asset, SHARED_SCRIPTS), read_data, *map(own_asset, SCRIPTS)])
    data = {
        "run": run,
        "name": name,
        "step": generator.step,
        "latent_dim": generator.latent_dim,
        "classes": generator.class_names,
        "width": width,
        "height": height,
        "small": max(width, height) < SMALL,
    }
    page = (
        templates(own_asset)
        .get_template("play.html")
        .render(
            title=name,
            about=about,
            width=width,
            height=height,
            classes=generator.class_names,
            directions=directions,
            reach=REACH,
            version=__version__,
            style=Markup(asset("base.css") + own_asset("play.css")),
            script=script,
            data=embedded(data),
        )
    )
    policy = (
        "default-src 'none'; img-src data: blob:; connect-src 'self'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
