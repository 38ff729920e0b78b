"""What can be chosen with flags: fields of dataclasses that targets and platforms bring."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import Field, field, fields
from typing import Any

from convert.errors import PlanError


def choice(default: str, values: tuple[str, ...], help: str, environment: str = "", modality: str = "") -> Any:
    """A field of an options dataclass that a flag of its name sets.

    Args:
        values: what it can be.
        help: a line for ``--help``.
        environment: name of a variable that sets it where no flag does.
        modality: what has to be converted beside text for it to say anything.
    """
    metadata = {"values": values, "help": help, "environment": environment, "modality": modality}
    return field(default=default, metadata=metadata)


def idle(options: type[Any], modalities: Collection[str]) -> set[str]:
    """Names of the fields of a dataclass that say nothing where only these modalities are converted."""
    return {name for name, each in flags(options).items() if each.metadata["modality"] not in ("", *modalities)}


def spelled(name: str) -> str:
    """The flag that sets a field."""
    return f"--{name.replace('_', '-')}"


def flags(options: type[Any]) -> dict[str, Field[Any]]:
    """The fields of a dataclass that flags set, by name."""
    return {each.name: each for each in fields(options) if "values" in each.metadata}


def chosen(asked: str, options: type[Any], given: Mapping[str, str]) -> dict[str, str]:
    """Those of the given flags that are the dataclass's own.

    Raises:
        PlanError: one of them cannot be what was given.
    """
    own = dict[str, str]()
    for name, each in flags(options).items():
        value = given.get(name) or os.environ.get(each.metadata["environment"])
        if value:
            own[name] = value
    for name, value in own.items():
        values = flags(options)[name].metadata["values"]
        if value not in values:
            words = ", ".join(values[:-1]) + f" or {values[-1]}"
            raise PlanError(asked, f"there is no {spelled(name)} {value!r}", f"Use {spelled(name)} {words}")
    return own


def check_known(asked: str, given: Mapping[str, str], platform: str, *known: type[Any]) -> None:
    """Refuses flags that nothing here has.

    Raises:
        PlanError: names the first.
    """
    for name in given:
        if not any(name in flags(options) for options in known):
            raise PlanError(
                asked, f"{spelled(name)} was given, which {platform} does not have", f"Leave {spelled(name)} out"
            )
