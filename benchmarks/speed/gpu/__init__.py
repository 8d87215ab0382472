"""Training steps on a CUDA GPU: gan-exp's own, and those of peers.

`__main__` has the plan and the table, `measure` the clock, `package` the recipes and gan-exp's step, `peers` the
others' loops, `prove` and `proofs` the checks that only a GPU can pass. torch and NumPy are enough: nothing here needs
Hydra, OmegaConf or pydantic.
"""

import sys
from importlib.util import find_spec
from types import ModuleType

if find_spec("annotated_types") is None:
    # The ranges of arguments, which only the check of a configuration reads.
    sys.modules["annotated_types"] = stand_in = ModuleType("annotated_types")
    stand_in.__dict__.update(dict.fromkeys(("Ge", "Gt", "Le", "Lt"), float))
