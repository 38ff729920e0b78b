"""What all parts of a manifest are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """Base of all parts of a manifest: unknown keys are refused, nothing is left out when it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class Token(Strict):
    """A token: its id, and how the tokenizer writes it."""

    id: Count
    text: Annotated[str | None, Field(description="null: a row of the model that no token of the tokenizer uses")]
