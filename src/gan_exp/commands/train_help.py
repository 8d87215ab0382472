"""`gan-exp train --help`, read from the YAML files: no Hydra, no torch."""

from pathlib import Path

from gan_exp.catalog import defaults, describe, groups, root_keys


def help_text(extra: list[Path]) -> str:
    """Groups with their options, and the keys of the root, read from the YAML files."""
    chosen = defaults()
    lines = [
        "usage: gan-exp train [group=option ...] [key=value ...] [option ...]",
        "",
        "Train a GAN. With nothing said: the digits that come with the tool, on the best device there is.",
        "",
        "  gan-exp train model=mlp lr=2e-4                       one run",
        "  gan-exp train -m lr=1e-4,2e-4 model=mlp,dcgan         every combination, one after the other",
        "  gan-exp train optimizer.discriminator.lr=4e-4         a key inside a group",
        "  gan-exp train experiment=article                      a recipe",
        "",
        "groups (* is chosen where you choose nothing):",
    ]
    for group, options in groups(extra).items():
        lines.append(f"  {group}")
        for option, path in options.items():
            mark = "*" if chosen.get(group) == option else " "
            lines.append(f"   {mark}{option:<16}{describe(path)}")
    lines += ["", "keys:"]
    lines += [f"  {key:<24}{value:<12}{comment}" for key, value, comment in root_keys() if not value.startswith("$")]
    lines += [
        "",
        "options:",
        "  -m, --multirun        one run for each combination of the values given with commas",
        "  --cfg job             print the configuration that would be used, and stop",
        "  --config-dir DIR      YAML files of your own, in folders named as the groups",
        "  --trust MODULE        let `_target_` in your YAML name classes of your own MODULE",
        "  --again RUN           a new run with the configuration of an old one",
        "  hydra.run.dir=DIR     where the run goes instead of outputs/<date>/<time>-<name>",
        "  --info, --hydra-help  what Hydra itself has to say",
    ]
    return "\n".join(lines)
