"""Fields of a configuration that nobody vouches for: their types are pydantic's, their refusals one line of ours.

A field's description in its model is what it must be, in the words of the refusal; a ``Literal`` of words needs none.
Objects within an object are read one by one, so that a refusal names the field and its whole path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from convert.checkpoint.strict_json import shown
from convert.errors import CheckpointError

_LIMIT = 1 << 31
_MISSING = object()


def one_of(*allowed: Any) -> AfterValidator:
    """Whole numbers or truth values: even where it is strict, a ``Literal`` takes 4.0 for 4 and 0 for false."""

    def check(value: Any) -> Any:
        if value not in allowed:
            raise ValueError
        return value

    return AfterValidator(check)


Count = Annotated[int, Field(ge=1, le=_LIMIT, description=f"a whole number from 1 to {_LIMIT}")]
Natural = Annotated[int, Field(ge=0, le=_LIMIT, description=f"a whole number from 0 to {_LIMIT}")]
Flag = Annotated[bool, Field(description="true or false")]
Positive = Annotated[float, Field(gt=0, lt=math.inf, description="a finite number above 0")]
Share = Annotated[float, Field(gt=0, le=1, description="a number above 0 and at most 1")]


class Model(BaseModel):
    """What is read of an object. Types are exact; a default stands for a field that is not there, not for null."""

    # What a field must be that the model does not have and forbids.
    OTHERS: ClassVar[str] = "left out: its meaning is not known"
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Fields:
    """An object from config.json.

    Attributes:
        values: the parsed object.
        path: where it stands, for messages, for example ``config.json: text_config``.
        asked: what the user wanted.
    """

    values: Mapping[str, Any]
    path: str
    asked: str

    def fail(self, name: str, wanted: str) -> CheckpointError:
        """The refusal of a field: what it is and what it would have to be."""
        found = f"is {shown(self.values[name])}" if name in self.values else "is missing"
        return CheckpointError(self.asked, f"{self.path}: {_plain(name)} {found}", f"It must be {wanted}")

    def read(self, model: type[M]) -> M:
        """The object as ``model`` describes it.

        Raises:
            CheckpointError: the first field that is of another type or range, is missing, or should not be there.
        """
        try:
            return model.model_validate(dict(self.values))
        except ValidationError as error:
            first = error.errors()[0]
        # Of a key with half a character pydantic names no place.
        name = str(first["loc"][0] if first["loc"] else min(self.values.keys() - model.model_fields.keys()))
        field = model.model_fields.get(name)
        if field is None:
            raise self.fail(name, model.OTHERS)
        words = " or ".join("null" if word is None else repr(word) for word in get_args(field.annotation))
        raise self.fail(name, field.description or words)

    def object(self, name: str) -> Fields:
        value = self.values.get(name, _MISSING)
        if not isinstance(value, dict):
            raise self.fail(name, "an object")
        return Fields(value, f"{self.path}{'.' if ' ' in self.path else ': '}{_plain(name)}", self.asked)

    def has(self, name: str) -> bool:
        """The field is there and not null."""
        return self.values.get(name) is not None


def _plain(name: str) -> str:
    """A key, which may be any text, within a line."""
    return name if name.isprintable() and len(name) < 160 else shown(name)
