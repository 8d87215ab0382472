"""A command in each of several processes that torchrun or srun has started: the first leads, the others take part."""

from collections.abc import Callable

from gan_exp.errors import UserError
from gan_exp.runtime.processes import refuse_other_launchers
from gan_exp.runtime.ranks import Ranks, join
from gan_exp.runtime.signals import Interrupted


def over_ranks(lead: Callable[[Ranks], int], others: Callable[[Ranks], int] | None = None) -> int:
    """What `lead` returns in the first process, and in one alone; the others do `others`, or train what they are given.

    Both end with the same exit code.
    """
    refuse_other_launchers()
    with join() as ranks:
        if not ranks.first:
            if others is not None:
                return others(ranks)
            from gan_exp.training.together import take_part

            return take_part(ranks)
        code = 1
        try:
            code = lead(ranks)
        except UserError:
            code = 2
            raise
        except Interrupted as interruption:
            code = interruption.exit_code
            raise
        finally:
            ranks.release(code)
    return code
