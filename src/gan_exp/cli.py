"""Picks the command. Nothing heavy is imported before one is chosen: `gan-exp --help` is instant."""

import gc
import importlib
import os
import shlex
import sys
from collections.abc import Sequence

from gan_exp import __version__
from gan_exp.commands import COMMANDS
from gan_exp.config.mistakes import synonyms
from gan_exp.errors import TrainingFault, UserError, did_you_mean
from gan_exp.runtime.signals import Interrupted, recording_signals, stop_if_asked
from gan_exp.runtime.terminal import report

USAGE = f"""gan-exp {__version__}: train, measure and compare GANs.

usage: gan-exp COMMAND ...

{chr(10).join(f"  {name:<12}{text}" for name, text in COMMANDS.items())}

`gan-exp COMMAND --help` describes a command. A first run, without a download: gan-exp train"""

# A search for garbage begins after so many new containers: imports make a million, and Python would search after each
# 700, a twentieth of the time until the first step. A training step leaves none.
SURVIVORS = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 for a run that failed, 2 for bad input, 130 for Ctrl-C, 128 + n for signal n."""
    if arguments is None:
        gc.set_threshold(SURVIVORS)
    with recording_signals(for_good=arguments is None):
        return _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(words: list[str]) -> int:
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        report(str(error))
        return 2
    except TrainingFault as error:
        report(str(error))
        return 1
    except Interrupted as interruption:
        if not interruption.reported:
            report(f"ended by {interruption.signal.name}; there was nothing to save")
        return interruption.exit_code
    except KeyboardInterrupt:
        print("gan-exp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `gan-exp ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 0
    finally:
        if "torch" in sys.modules:  # what `prepare_device` sets holds for all floats of a program that calls this
            sys.modules["torch"].set_flush_denormal(False)


def _dispatch(words: list[str]) -> int:
    if len(words) > 1 and words[0] in ("-h", "--help", "help"):
        words = [words[1], "--help", *words[2:]]
    elif words[1:2] == ["help"]:
        words[1] = "--help"
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if words[0] in ("-V", "--version"):
        print(f"gan-exp {__version__}")
        return 0
    if words[0] == "__complete":  # what the scripts of `gan-exp completion` call
        words[:1] = ["completion", "__complete"]
    if words[0] == "__rank":  # what device.processes starts
        words[0] = "rank"
    elif words[0] not in COMMANDS:
        raise UserError(_no_command(words))
    command = importlib.import_module(f"gan_exp.commands.{words[0]}")
    stop_if_asked()
    code: int = command.run(words[1:])
    return code


def _no_command(words: list[str]) -> str:
    word, separator, _ = words[0].partition("=")
    meant = synonyms.COMMANDS.get(word)
    if separator and not word.startswith("-"):
        hint = f"did you mean gan-exp train {shlex.join(words)}?"
    elif meant is not None:
        hint = f"did you mean {meant}?"
    else:
        hint = did_you_mean(word, COMMANDS)
    return f"{words[0]}: no such command; {hint}"
