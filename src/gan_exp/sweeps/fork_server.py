"""What the server imports, from which the processes of jobs are forked: everything that a run needs.

It starts no threads and asks no GPU for anything, since neither survives a fork.
"""

import os
import signal
from contextlib import suppress
from importlib import import_module

from gan_exp.runtime.signals import block_signals

IS_SERVER = "GAN_EXP_FORK_SERVER"  # set for the server alone: others may import this module

# Beside the session these are imported when a run needs them.
MODULES = (
    "gan_exp.training.session",
    "gan_exp.training.acceleration.choice",
    "gan_exp.models.mlp",
    "gan_exp.models.dcgan",
    "gan_exp.data.digits",
    "gan_exp.optimizers",
    "gan_exp.schedules",
    "sklearn.datasets",
    "torch.utils.tensorboard",
    "filelock",
    "PIL.GifImagePlugin",
    "PIL.PngImagePlugin",
    "omegaconf",
)


def _serve() -> None:
    """Make this process independent of the terminal's signals, and import.

    Signals to stop are blocked, not ignored: a forked job takes over the block, so that a signal that comes before it
    can handle one is not lost. It would be if SIGINT were ignored, as by shells for commands in the background: the job
    takes that over from the server for a moment, and the system then drops what waits.
    """
    block_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):
        os.setsid()
    import_all()


def import_all() -> None:
    for name in MODULES:
        with suppress(ImportError):
            import_module(name)


if os.environ.pop(IS_SERVER, None):
    _serve()
