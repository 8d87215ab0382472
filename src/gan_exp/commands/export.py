"""`gan-exp export RUN`: the trained generator as one file that needs neither the run nor its data."""

from gan_exp.commands.arguments import RUN_HELP, Parser
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.terminal import say


def run(arguments: list[str]) -> int:
    parser = Parser("export", "Write a run's generator (the averaged one if the run keeps an average) as one file.")
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--output", default="generator.safetensors", metavar="FILE", help=(
        "default generator.safetensors; gan_exp.runs.export.load_generator reads it"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_trust()
    options = parser.parse_args(arguments)
    refuse_multiple_processes("export")
    run_dir = RunDir.open(options.run)
    output = expand_user(options.output, "--output")
    if output.suffix != ".safetensors":
        raise UserError(f"--output {output}: must end in .safetensors")

    from gan_exp.config.targets import trust
    from gan_exp.generators.trained import TrainedGenerator
    from gan_exp.runs.export import save_generator

    trust(options.trust)
    trained = TrainedGenerator.from_run(run_dir, options.checkpoint)
    config, step = trained.config, trained.step
    try:
        node, conditional = config.model.generator, config.conditional
        save_generator(output, trained.network, node, trained.latent_dim, trained.spec, step, config.name, conditional)
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from error
    say(f"the generator of step {step} in {output}")
    return 0
