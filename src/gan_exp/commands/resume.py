"""`gan-exp resume RUN [key=value ...]`: go on in the same directory, as if the run had never stopped."""

from typing import Any

import yaml

from gan_exp.commands.arguments import Parser
from gan_exp.errors import UserError
from gan_exp.run_dir import RunDir, write_atomically

# What may change in the middle of a run without making another experiment of it.
MAY_CHANGE = ("steps", "log_every_steps", "sample_every_steps", "checkpoint_every_steps", "keep_checkpoints", "display")


def run(arguments: list[str]) -> int:
    parser = Parser("resume", "Go on with a run from its newest checkpoint, in its own directory.")
    parser.add_argument("run", metavar="RUN", help="a run's directory, or `latest`")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"{', '.join(MAY_CHANGE)}, device.*")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="MODULE", help="code of yours that the run names"
    )
    options = parser.parse_intermixed_args(arguments)
    run_dir = RunDir.open(options.run)

    from gan_exp.commands.train import trust
    from gan_exp.config import check
    from gan_exp.overrides import apply_overrides, leaves

    trust(options.trust)
    saved = run_dir.read_config()
    check(saved)
    changed = apply_overrides(saved, options.overrides)
    config = check(changed)
    _refuse_another_experiment(leaves(saved), leaves(changed))
    status = run_dir.read_status()
    step = status.get("step", 0)
    if config.steps < step:
        raise UserError(f"steps={config.steps}: the run is at step {step} already; give more steps than that")
    if status.get("state") == "finished" and config.steps == step:
        print(f"{run_dir.path} is finished ({step} steps); to go on: gan-exp resume {options.run} steps={2 * step}")
        return 0

    from gan_exp.session import continue_run

    if changed != saved:
        write_atomically(run_dir.config, yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True))
    continue_run(config, run_dir)
    return 0


def _refuse_another_experiment(saved: dict[str, Any], changed: dict[str, Any]) -> None:
    differing = [
        key
        for key, value in changed.items()
        if value != saved[key] and key not in MAY_CHANGE and not key.startswith("device.")
    ]
    if differing:
        raise UserError(
            f"{', '.join(differing)}: can't change in the middle of a run, it would be another experiment; "
            f"train it as a new one with `gan-exp train`"
        )
