"""The faults that a user can mend, each told in one sentence that names the key, the value and the remedy."""


class UserError(Exception):
    """Bad input: shown as one line without a traceback, exit code 2."""


class TrainingFault(Exception):
    """A run that can't go on: its state is kept, shown as one line, exit code 1."""
