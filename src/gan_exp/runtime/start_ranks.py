"""Starts several processes on this machine with torch's elastic launcher, as torchrun does, and is silent about it."""

import logging
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence

from gan_exp.runtime.signals import STOPPING, Interrupted, stop_if_asked, waiting

SHUTDOWN_S = 600  # for the checkpoint after a signal; a second one ends the processes at once


def start_ranks(count: int, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run `python WORDS` in `count` processes to their end. Returns the exit code of the first, -n after signal n.

    A signal is passed on to them, and raises Interrupted when they have ended.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
        run_id=secrets.token_hex(8),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=SHUTDOWN_S,
        signals_to_handle=",".join(number.name for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN),
    )
    before = {number: signal.getsignal(number) for number in STOPPING}
    os.environ.update(environ)
    stop_if_asked()
    logging.disable()  # the launcher's: the processes say themselves what is wrong
    try:
        with waiting():  # until the launcher has set its own handlers, which pass signals on
            elastic_launch(config, sys.executable)(*words)
        return 0
    except SignalException as interruption:
        raise Interrupted(interruption.sigval, reported=True) from None
    except ChildFailedError as failed:
        return failed.failures[0].exitcode if 0 in failed.failures else 0
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)
        for name in environ:
            os.environ.pop(name, None)
