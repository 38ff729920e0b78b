"""MANIFEST.md says every field of manifest.json, and none that is not there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from convert.bundle import manifest
from tests.support.commands import REPOSITORY

DOCUMENT = REPOSITORY / "mobile_samples" / "MANIFEST.md"
PART = re.compile(r"^### `(\w+)`\n\n\| field \| type \| meaning \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE)
Rows = dict[str, str]


def documented(text: str) -> dict[str, Rows]:
    """Fields by the type that has them; each with the rest of its row."""
    return {name: dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", rows, re.MULTILINE)) for name, rows in PART.findall(text)}


def types() -> dict[str, Any]:
    """Every object type of the schema, the outermost one too."""
    schema = json.loads(manifest.schema_json())
    return {name: one for name, one in {"Manifest": schema, **schema["$defs"]}.items() if "properties" in one}


def words(field: Any) -> set[str]:
    """What a field's values may be, where the schema lists them, and the names of types it refers to."""
    if isinstance(field, list):
        return {word for one in field for word in words(one)}
    if not isinstance(field, dict):
        return set()
    found = {str(word) for word in (*field.get("enum", ()), *([field["const"]] if "const" in field else ()))}
    found |= {field["$ref"].rpartition("/")[2]} if "$ref" in field else set()
    nested = (field.get(key) for key in ("anyOf", "items", "additionalProperties", "propertyNames"))
    return found.union(*(words(one) for one in nested))


@pytest.fixture(scope="module")
def document() -> dict[str, Rows]:
    return documented(DOCUMENT.read_text("utf-8"))


@pytest.mark.parametrize("name", types())
def test_each_type_of_the_schema_has_a_table_of_exactly_its_fields(document: dict[str, Rows], name: str) -> None:
    assert document[name].keys() == types()[name]["properties"].keys()


def test_the_document_has_no_type_that_the_schema_does_not_have(document: dict[str, Rows]) -> None:
    assert document.keys() == types().keys()


@pytest.mark.parametrize("name", types())
def test_each_row_names_the_types_and_words_that_the_field_may_have(document: dict[str, Rows], name: str) -> None:
    for field, schema in types()[name]["properties"].items():
        row = document[name][field]
        missing = [word for word in words(schema) if not re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", row)]
        assert missing == [], f"{name}.{field}"
        nullable = {"type": "null"} in schema.get("anyOf", [])
        assert nullable == ("or null |" in f"{row} |"), f"{name}.{field}"


def test_a_field_that_is_left_out_of_the_document_or_made_up_is_seen() -> None:
    text = DOCUMENT.read_text("utf-8")
    row = "| `turning` | integer | pairs that turn; the others have cosine 1 and sine 0 |\n"
    assert row in text
    for changed in (text.replace(row, ""), text.replace(row, row.replace("turning", "turned"))):
        assert documented(changed)["Rotary"].keys() != types()["Rotary"]["properties"].keys()
