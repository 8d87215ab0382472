"""`python -m gan_exp` is the same as `gan-exp`."""

import sys

from gan_exp.cli import main

if __name__ == "__main__":
    sys.exit(main())
