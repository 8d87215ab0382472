"""A command in each of several processes that torchrun or srun has started: the first leads, the others take part."""

from collections.abc import Callable

from gan_exp.errors import TrainingFault, UserError
from gan_exp.runtime.joining import join
from gan_exp.runtime.launchers import place
from gan_exp.runtime.processes import refuse_other_launchers
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.signals import Interrupted


def over_ranks(lead: Callable[[Ranks], int], others: Callable[[Ranks], int] | None = None) -> int:
    """What `lead` returns in the first process, and in one alone; the others do `others`, or train what they are given.

    They are silent, and end with the same exit code.
    """
    refuse_other_launchers()
    found = place()
    if found is not None and found.rank > 0:
        return _follow(others)
    with join() as ranks:
        return _lead(lead, ranks)


def _lead(lead: Callable[[Ranks], int], ranks: Ranks) -> int:
    code = 1
    try:
        code = lead(ranks)
    except SystemExit as ended:  # --help
        code = ended.code if isinstance(ended.code, int) else 0
        raise
    except Interrupted as interruption:
        code = interruption.exit_code
        raise
    except Exception as error:
        code = 2 if isinstance(error, UserError) else 1
        cause = ranks.cause_of(error)
        if cause is error:
            raise
        raise cause if isinstance(cause, UserError | TrainingFault) else TrainingFault(str(cause)) from error
    finally:
        ranks.release(code)
    return code


def _follow(others: Callable[[Ranks], int] | None) -> int:
    """The exit code: rank 0 has been told of a failure, and tells of it."""
    joined = False
    try:
        with join() as ranks:
            joined = True
            if others is not None:
                return others(ranks)
            from gan_exp.training.together import take_part

            return take_part(ranks)
    except Interrupted as interruption:
        return interruption.exit_code
    except UserError:
        return 2
    except Exception:
        if not joined:
            raise
        return 1
