"""What an app reads beside a model: tokenizer and chat template are the checkpoint's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime_tests.questions.beside import TEMPLATE, TOKENIZER, compare_copies

OWN = "{{ bos_token }}\n{{ messages }}\n"


@pytest.fixture
def case(tmp_path: Path) -> Any:
    """A bare model, and a checkpoint with both files."""
    checkpoint, bundle = tmp_path / "checkpoint", tmp_path / "bundle"
    checkpoint.mkdir()
    bundle.mkdir()
    (checkpoint / TOKENIZER).write_bytes(b'{"model": 1}')
    return SimpleNamespace(beside=bundle, folder=SimpleNamespace(path=checkpoint), template=OWN)


def put(case: Any, name: str, content: bytes) -> None:
    (case.beside / name).write_bytes(content)


def test_beside_a_bare_model_there_is_nothing_to_check(case: Any) -> None:
    assert compare_copies(case, case.beside) == []


@pytest.mark.parametrize("template", [OWN, OWN.replace("\n", "\r\n"), "\ufeff" + OWN])
def test_copies_of_the_checkpoints_files_pass_whatever_the_ends_of_their_lines(case: Any, template: str) -> None:
    put(case, TOKENIZER, b'{"model": 1}')
    put(case, TEMPLATE, template.encode())
    (check,) = compare_copies(case, case.beside)
    assert check.passed
    assert check.note == "2 compared"


def test_another_template_is_named(case: Any) -> None:
    put(case, TOKENIZER, b'{"model": 1}')
    put(case, TEMPLATE, OWN.replace("messages", "prompt").encode())
    (check,) = compare_copies(case, case.beside)
    assert not check.passed
    assert check.note == "chat_template.jinja is not the checkpoint's"


def test_another_tokenizer_is_named_also_where_the_checkpoint_has_none(case: Any) -> None:
    put(case, TOKENIZER, b'{"model": 2}')
    assert compare_copies(case, case.beside)[0].note == "tokenizer.json is not the checkpoint's"
    put(case, TOKENIZER, b'{"model": 1}')
    (case.folder.path / TOKENIZER).unlink()
    assert compare_copies(case, case.beside)[0].note == "tokenizer.json is not the checkpoint's"


def test_a_template_that_transformers_does_not_find_is_not_compared(case: Any) -> None:
    case.template = ""
    put(case, TEMPLATE, b"{{ prompt }}")
    assert compare_copies(case, case.beside) == []
