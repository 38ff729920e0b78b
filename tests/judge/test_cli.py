"""``python -m runtime_tests``: exit codes, one line for bad input, the committed schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from runtime_tests.cli import SCHEMAS, app
from runtime_tests.questions import evaluation
from runtime_tests.readers.litert.litertlm import BLOCK
from runtime_tests.report import golden
from runtime_tests.report import parity as report

RUNNER = CliRunner()


@pytest.mark.parametrize(("name", "module"), [("parity", report), ("golden", golden), ("evaluation", evaluation)])
def test_the_committed_schemas_are_current(name: str, module: ModuleType) -> None:
    found = (SCHEMAS / f"{name}.schema.json").read_text("utf-8")
    assert found == module.schema(), "run: python -m runtime_tests schema"


def refused(*arguments: str) -> str:
    outcome = RUNNER.invoke(app, ["verify", *arguments])
    assert outcome.exit_code == 2, outcome.output
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A file that is no artifact."""
    file = tmp_path / "model.litertlm"
    file.write_bytes(b"LITERTLM" + bytes(BLOCK))
    return file


def test_a_missing_artifact_is_one_line(mobile_e2b: Path) -> None:
    assert refused("none.litertlm", "--checkpoint", str(mobile_e2b)) == "error: none.litertlm: no such file or folder"


def test_a_damaged_artifact_is_one_line(artifact: Path, mobile_e2b: Path) -> None:
    line = refused(str(artifact), "--checkpoint", str(mobile_e2b))
    assert line == "error: model.litertlm: container version 0.0.0; this reader knows 1.x"


def test_an_unknown_rung_is_one_line(artifact: Path, mobile_e2b: Path) -> None:
    line = refused(str(artifact), "--checkpoint", str(mobile_e2b), "--rungs", "0,9")
    assert line == "error: --rungs 0,9: there is no rung '9'; there are 0,1,2a,2b,3,4"


def test_an_output_without_a_folder_is_refused_before_the_work(artifact: Path, mobile_e2b: Path) -> None:
    line = refused(str(artifact), "--checkpoint", str(mobile_e2b), "--json", "nowhere/parity.json")
    assert line == "error: nowhere/parity.json: its folder does not exist"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom runtime_tests.cli import app\n"
        "heavy = {'torch', 'transformers', 'ai_edge_litert', 'litert_lm', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_judge_never_imports_the_converter() -> None:
    folder = Path(report.__file__).parent
    lines = [line for file in folder.rglob("*.py") for line in file.read_text("utf-8").splitlines()]
    assert not [line for line in lines if line.strip().startswith(("import convert", "from convert"))]


def test_a_judge_whose_runtime_crashes_is_one_line(demo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convert import demo, verify
    from convert.child import KilledError

    crashing = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr(verify, "judge", lambda bundle, checkpoint: [*crashing])
    with pytest.raises(KilledError, match=r"ended by SIGABRT.*its runtime crashed on this file"):
        verify.verify(demo_file, str(demo.folder()), None, None)
