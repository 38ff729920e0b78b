"""What a model takes in beside text: what is converted of it, and what that refuses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from convert import choices
from convert.checkpoint.module import modalities, of_modality
from convert.checkpoint.types import Checkpoint
from convert.errors import ConvertError, HubError, PlanError
from convert.targets.target import Target

T = TypeVar("T")


def wanted(asked: str, given: tuple[str, ...] | None, target: Target) -> tuple[str, ...]:
    """What is to be converted beside text, where the checkpoint has it.

    Args:
        given: by the user; None: all that can be.

    Raises:
        PlanError: nothing converts it, or the target has no place for it.
    """
    if given is None:
        return tuple(each for each in modalities() if of_modality(each) in target.modules)
    for each in given:
        module = of_modality(each)
        if module is None:
            known = ", ".join(("text", *modalities()))
            raise PlanError(asked, f"there is no --modalities {each!r}", f"Use some of {known}")
        if module not in target.modules:
            found = f"--modalities {each} was given, and {target.name} models have no place for it"
            raise PlanError(asked, found, f"Leave {each} out")
    return given


def opened(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What of a checkpoint is converted beside text."""
    return tuple(each for each in modalities() if of_modality(each) in checkpoint.modules)


def check_idle(
    asked: str, given: tuple[str, ...] | None, target: Target, flags: Mapping[str, str], beside: Collection[str]
) -> None:
    """Refuses flags of what is not converted.

    Args:
        given: by the user, see ``wanted``.
        beside: what is converted beside text.

    Raises:
        PlanError: names the first.
    """
    for name in sorted(choices.idle(target.options, beside) & flags.keys()):
        needed, flag = choices.flags(target.options)[name].metadata["modality"], choices.spelled(name)
        action = f"Leave {flag} out" if given is None else f"Give --modalities text,{needed} too, or leave {flag} out"
        raise PlanError(asked, f"{flag} was given, and {needed} input is not converted", action)


def telling(given: tuple[str, ...] | None, beside: tuple[str, ...], run: Callable[[tuple[str, ...]], T]) -> T:
    """Runs with what is converted beside text; what is refused for the sake of what nobody asked for says so.

    Args:
        given: by the user, see ``wanted``.

    Raises:
        ConvertError: of ``run``; if it is fine with text alone, with how to have that.
    """
    try:
        return run(beside)
    except HubError:  # has nothing to do with it, and asking again takes as long
        raise
    except ConvertError as error:
        if given is not None or not beside:
            raise
        try:
            run(())
        except ConvertError:
            raise error from None
        action = f"{error.action}, or give --modalities text, which leaves {' and '.join(beside)} input out"
        raise type(error)(error.asked, error.found, action) from None
