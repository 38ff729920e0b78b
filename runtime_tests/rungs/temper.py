"""Whether a model can be judged at all, asked before any rung.

End to end an artifact is held to the reference's own noise floor. A network so nervous that its reference, disturbed in
the last float bits, prefers other tokens than itself has a floor that forgives everything: no figure would say whether
the file is right. That is a property of the checkpoint and no fault of the file, and it can be seen before the work.
"""

from __future__ import annotations

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError

LEAST_TOP1 = 0.4
# The rungs that ask nothing of the floor.
WITHOUT_FLOOR = "0,2a"


def unjudgeable(top1: float) -> str:
    """Why a floor judges nothing; empty when it does.

    Args:
        top1: fraction of positions at which the disturbed reference prefers the same token.

    >>> unjudgeable(0.5)
    ''
    """
    if top1 >= LEAST_TOP1:
        return ""
    return (
        f"nothing can be judged by its floor: the reference agrees with itself on {100 * top1:.0f} % of tokens, "
        f"at least {100 * LEAST_TOP1:.0f} % are needed"
    )


def check(case: Case, names: tuple[str, ...] | None) -> None:
    """Refuses a model that is too nervous for what is asked.

    Args:
        names: rungs that were asked for; None for all.

    Raises:
        InputError: it is.
    """
    if case.foreign or (names is not None and "2b" not in names):
        return
    try:
        # Of a large model the rest of the floor comes from what rung 2a runs anyway; rung 2b asks again.
        why = unjudgeable((case.stored_floor if case.large else case.floor).top1)
    except CannotRunError:  # the rungs will say what is wrong with the file
        return
    if why:
        raise InputError(f"{case.folder.path.name}: {why}. --rungs {WITHOUT_FLOOR} judges what needs no floor")
