"""What `plan` refuses of a hub id while its weights have not been downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from convert import demo, plan
from convert.errors import CheckpointError
from convert.progress import Silent


@pytest.mark.parametrize(
    ("name", "content"),
    [("generation_config.json", '{"eos_token_id": "<eos>"}'), ("chat_template.jinja", "{{ messages | unheard_of }}")],
)
def test_files_beside_the_weights_are_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(demo.folder(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / name).write_text(content, "utf-8")

    def resolve(model: str, *, progress: object, check: Callable[[Path], None]) -> None:
        check(folder)
        pytest.fail("the weights would have been downloaded")

    monkeypatch.setattr(plan, "resolve", resolve)
    with pytest.raises(CheckpointError, match=name):
        plan.prepare(plan.Request("android", "someone/model", tmp_path / "out"), Silent())
