"""The two ways in which a judgement ends early."""


class InputError(Exception):
    """What was handed in cannot be judged: damaged, missing or of another kind. Ends the command with exit code 2.

    The message is one line: which file, what was found, what was expected.
    """


class CannotRunError(Exception):
    """A rung that cannot be climbed here, with the reason. Recorded as ``not run: <why>``, never as a pass."""
