"""Every verb in a hostile environment: exit code 0, 1, 2 or 130 and at most one line of error, never a traceback.

Inputs and outputs of every wrong kind are tried in this process, which is quick. Rights, closed or full streams, full
disks and odd variables need processes of their own. The judge of ``bundle`` takes any file here: it is not the subject.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convert import cli, demo, pipeline
from tests.builds.test_disk import root
from tests.support import quick_build
from tests.support.commands import QUICK, REPOSITORY

VERBS = ("list", "plan", "inspect", "convert", "verify", "bundle", "chat")
DRIVER = """
import sys
sys.path.insert(0, "tests/support")
import quick_build
from convert import cli, pipeline
pipeline.judge = quick_build.judge("pass")
from convert import verify
if "--rungs" in sys.argv and sys.argv[-1] != "really":
    verify.judge = lambda bundle, folder: [sys.executable, "-c", "print('0 weights pass')"]
sys.argv = [word for word in sys.argv if word != "really"]
cli.main()
"""
CODES = (0, 1, 2, 130)
BASH = shutil.which("bash") or "/bin/bash"  # where PATH is empty
COMPANIONS = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
LATER = ("chat_template.jinja", "evaluation.jsonl", "accuracy.json")
Spoil = Callable[[Path], None]


def missing(path: Path) -> None:
    pass


def directory(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def empty(path: Path) -> None:
    path.touch()


def sock(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path is at most 107 bytes long
        made.bind(path.name)
        os.chdir(here)


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


KINDS = (missing, directory, pipe, dangling, loop, empty, sock, noise)
kinds = pytest.mark.parametrize("spoil", KINDS, ids=[kind.__name__ for kind in KINDS])


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished bundle."""
    judge = pipeline.judge
    try:
        return quick_build.build(tmp_path_factory.mktemp("hostile")).bundle
    finally:
        pipeline.judge = judge


def commands(verb: str, model: Path | str, bundle: Path, out: Path) -> list[str]:
    """A command of the verb that reads ``model`` or ``bundle``, and writes ``out`` if it writes."""
    words: dict[str, list[Path | str]] = {
        "list": ["list", "--out", bundle.parent.parent],
        "plan": ["plan", "android", model, "--out", out, *QUICK],
        "inspect": ["inspect", model],
        "convert": ["convert", model, out / "x.litertlm", *QUICK],
        "verify": ["verify", bundle, "--rungs", "0"],
        "bundle": ["bundle", "android", model, "--out", out, "--apk", "skip", *QUICK],
        "chat": ["chat", bundle, "--ask", "Hello!", "--limit", "2", "--threads", "1"],
    }
    return [str(word) for word in words[verb]]


def hold(code: int | None, err: str, what: str) -> None:
    """The rule of this file."""
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code in CODES, f"{what}: exit {code}: {err}"
    assert "Traceback" not in err, f"{what}: {err}"
    assert len(errors) == (1 if code in (1, 2) else 0), f"{what}: exit {code}: {err}"


def within(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A command in this process: exit code and stderr."""
    monkeypatch.setattr(sys, "argv", ["gemma-bridge", *words])
    monkeypatch.setattr(pipeline, "judge", quick_build.judge("pass"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return (0 if code is None else int(code)), capfd.readouterr().err


def outside(
    words: list[str],
    shell: str = 'exec "$@"',
    prefix: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    without: tuple[str, ...] = (),
) -> tuple[int, str]:
    """A command in a process of its own, started by a shell that spoils its streams: exit code and stderr."""
    merged = {key: value for key, value in os.environ.items() if key not in without} | (env or {})
    command = [*prefix, BASH, "-c", shell, "x", sys.executable, "-c", DRIVER, *words]
    ran = subprocess.run(command, cwd=REPOSITORY, env=merged, capture_output=True, timeout=120, check=False)
    return ran.returncode, ran.stderr.decode("utf-8", "replace")


@kinds
@pytest.mark.parametrize("name", COMPANIONS + LATER)
@pytest.mark.parametrize("verb", ["plan", "inspect"])
def test_a_file_of_a_checkpoint_that_is_none(
    folder: Path, bundle: Path, out: Path, monkeypatch, capfd, verb: str, name: str, spoil: Spoil
) -> None:
    (folder / name).unlink()
    spoil(folder / name)
    code, err = within(monkeypatch, capfd, *commands(verb, folder, bundle, out))
    hold(code, err, f"{verb}, {name}")
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "generation_config.json", "tokenizer_config.json", "model.safetensors"]
)
@pytest.mark.parametrize("spoil", [pipe, directory, loop], ids=["pipe", "directory", "loop"])
@pytest.mark.parametrize("verb", ["convert", "bundle"])
def test_what_a_plan_accepts_is_not_refused_later(
    folder: Path, bundle: Path, out: Path, monkeypatch, capfd, verb: str, name: str, spoil: Spoil
) -> None:
    (folder / name).unlink()
    spoil(folder / name)
    planned, _ = within(monkeypatch, capfd, *commands("plan", folder, bundle, out))
    code, err = within(monkeypatch, capfd, *commands(verb, folder, bundle, out))
    hold(code, err, f"{verb}, {name}")
    assert planned == code
    assert (code == 2) == (not out.exists())


@kinds
@pytest.mark.parametrize("verb", VERBS)
def test_a_model_or_a_bundle_that_is_none(
    tmp_path: Path, out: Path, monkeypatch, capfd, verb: str, spoil: Spoil
) -> None:
    given = tmp_path / "given" / "android" / "given"
    given.parent.mkdir(parents=True)
    spoil(given)
    words = commands(verb, given, given, out)
    code, err = within(monkeypatch, capfd, *words, *(("--checkpoint", "demo") if verb == "verify" else ()))
    hold(code, err, verb)
    assert code == (0 if verb == "list" else 2)
    assert not out.exists()


@kinds
@pytest.mark.parametrize("name", ["manifest.json", "model.litertlm", "parity.json"])
@pytest.mark.parametrize("verb", ["list", "inspect", "verify", "chat"])
def test_a_file_of_a_bundle_that_is_none(
    tmp_path: Path, bundle: Path, out: Path, monkeypatch, capfd, verb: str, name: str, spoil: Spoil
) -> None:
    if (verb, name) == ("chat", "parity.json"):
        pytest.skip("chat does not read the report")
    copy = tmp_path / "dist" / "android" / "demo"
    copy.mkdir(parents=True)
    for path in bundle.iterdir():
        if path.is_file() and path.name != name:
            (copy / path.name).hardlink_to(path)
    spoil(copy / name)
    code, err = within(monkeypatch, capfd, *commands(verb, copy, copy, out))
    hold(code, err, f"{verb}, {name}")


@kinds
@pytest.mark.parametrize("verb", ["plan", "convert", "bundle"])
def test_a_place_to_write_to_that_is_none(
    tmp_path: Path, bundle: Path, monkeypatch, capfd, verb: str, spoil: Spoil
) -> None:
    spoil(tmp_path / "out")
    code, err = within(monkeypatch, capfd, *commands(verb, "demo", bundle, tmp_path / "out"))
    hold(code, err, verb)
    assert (code == 0) == (spoil in (missing, directory))


@kinds
def test_questions_and_float_models_that_are_none(
    tmp_path: Path, bundle: Path, out: Path, monkeypatch, capfd, spoil: Spoil
) -> None:
    spoil(tmp_path / "given")
    for flag in ("--questions", "--float", "--checkpoint"):
        code, err = within(monkeypatch, capfd, *commands("verify", "", bundle, out), flag, str(tmp_path / "given"))
        hold(code, err, flag)
        assert code == 2


setpriv = shutil.which("setpriv")
rights = pytest.mark.skipif(os.geteuid() == 0 and setpriv is None, reason="root without setpriv keeps all its rights")
DROP = (str(setpriv), "--bounding-set=-dac_override,-dac_read_search,-fowner") if os.geteuid() == 0 else ()


@rights
@pytest.mark.parametrize("name", ["", *COMPANIONS, *LATER])
def test_a_checkpoint_without_the_right_to_read_it(folder: Path, bundle: Path, out: Path, name: str) -> None:
    (folder / name).chmod(0)
    code, err = outside(commands("plan", folder, bundle, out), prefix=DROP)
    (folder / name).chmod(0o755)
    hold(code, err, name)
    assert code == 2


@rights
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("where", ["reading", "writing"])
def test_a_folder_without_rights(tmp_path: Path, bundle: Path, verb: str, where: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(bundle, out / "android" / "demo", copy_function=os.link)
    locked = out if where == "writing" else out / "android" / "demo"
    locked.chmod({"reading": 0o300, "writing": 0o500}[where])
    model: Path | str = out / "android" / "demo" if verb == "inspect" else "demo"
    try:
        code, err = outside(commands(verb, model, out / "android" / "demo", out), prefix=DROP)
    finally:
        locked.chmod(0o755)
    hold(code, err, verb)


STREAMS = {
    "stdin closed": 'exec "$@" <&-',
    "stdout closed": 'exec "$@" >&-',
    "stderr closed": 'exec "$@" 2>&-',
    "all closed": 'exec "$@" <&- >&- 2>&-',
    "stdout full": 'exec "$@" > /dev/full',
    "stderr full": 'exec "$@" 2> /dev/full',
    "nobody reads": '"$@" | true; exit ${PIPESTATUS[0]}',
}
SILENT = ("stderr closed", "all closed", "stderr full")


TRIED = [
    (verb, streams)
    for verb in VERBS
    for streams in STREAMS
    # looking verbs are alike, and what the judge says of its streams has a test of its own below
    if (verb not in ("plan", "inspect") or streams in ("stdout closed", "stdout full"))
    and (verb != "verify" or streams not in ("stdout full", "nobody reads"))
]


@pytest.mark.parametrize(("verb", "streams"), TRIED)
def test_streams_that_are_closed_or_full(bundle: Path, tmp_path: Path, verb: str, streams: str) -> None:
    code, err = outside(commands(verb, "demo", bundle, tmp_path / "out"), STREAMS[streams])
    if streams in SILENT:
        assert code in CODES
        assert err == ""
    elif streams == "nobody reads" and code == 0:  # what little there was had been taken before the reader left
        hold(code, err, verb)
    else:
        hold(code, err, verb)
    if streams in ("stdout closed", "all closed", "stdout full"):
        assert code == 2
        assert streams == "stdout full" or not (tmp_path / "out").exists(), "work was done that nobody hears of"
    if streams in ("stdin closed", "stderr closed", "stderr full"):
        assert code == 0, err


@pytest.mark.parametrize("streams", ["stderr full", "nobody reads", "stdout full"])
def test_streams_of_the_judge_itself(bundle: Path, tmp_path: Path, streams: str) -> None:
    code, err = outside([*commands("verify", "demo", bundle, tmp_path / "out"), "really"], STREAMS[streams])
    assert code == (0 if streams == "stderr full" else 2), err
    assert err.count("error: ") == (0 if streams == "stderr full" else 1)


VARIABLES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "no HOME": ({}, ("HOME", "XDG_CACHE_HOME")),
    "HOME is nowhere": ({"HOME": "/nowhere/at/all"}, ("XDG_CACHE_HOME",)),
    "TMPDIR is nowhere": ({"TMPDIR": "/nowhere/at/all"}, ()),
    "no TERM, no PATH": ({"PATH": ""}, ("TERM",)),
    "ascii": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}, ("LANG",)),
}


@pytest.mark.parametrize("variables", VARIABLES)
@pytest.mark.parametrize("verb", ["inspect", "verify", "bundle", "chat"])
def test_odd_variables_stop_nothing(bundle: Path, tmp_path: Path, verb: str, variables: str) -> None:
    env, without = VARIABLES[variables]
    code, err = outside(commands(verb, "demo", bundle, tmp_path / "out"), env=env, without=without)
    hold(code, err, verb)
    assert code == 0, err


@pytest.mark.parametrize("verb", ["plan", "inspect", "bundle"])
@pytest.mark.parametrize("name", ["模型 é", "\udcff\udcfe"], ids=["letters", "bytes"])
@pytest.mark.parametrize("locale", ["ascii", "usual"])
def test_names_that_a_locale_cannot_spell(tmp_path: Path, bundle: Path, verb: str, name: str, locale: str) -> None:
    env, without = VARIABLES["ascii"] if locale == "ascii" else ({"LC_ALL": "C.UTF-8"}, ())
    folder = tmp_path / name
    shutil.copytree(demo.folder(), folder, copy_function=os.link)
    words = commands(verb, folder, bundle, folder / "out")
    code, err = outside([*words, *(("--name", "x") if verb in ("plan", "bundle") else ())], env=env, without=without)
    hold(code, err, verb)
    assert code == 0, err


@root
@pytest.mark.parametrize("verb", ["convert", "bundle", "verify", "chat"])
@pytest.mark.parametrize("free", [0, 65536])
def test_a_full_disk(tmp_path: Path, bundle: Path, verb: str, free: int) -> None:
    """Where output and scratch files go; the plan's estimate is put aside, for a disk can fill up later."""
    disk = tmp_path / "disk"
    disk.mkdir()
    shell = f'''mount -t tmpfs -o size={1 << 20} tmpfs "{disk}" && head -c {(1 << 20) - free} /dev/zero > "{disk}/full"
        ls -A "{disk}" > "{tmp_path}/before"; "$@"; code=$?; ls -A "{disk}" > "{tmp_path}/after"; exit $code'''
    env = {"TMPDIR": str(disk), "HOSTILE_DISK": "1"}
    driver = DRIVER.replace("cli.main()", "from convert import plan; plan.free_disk = lambda out: 1 << 40; cli.main()")
    words = commands(verb, "demo", bundle, disk / "out")
    words += ["--json", str(disk / "report.json"), "really"] if verb == "verify" else []
    command = ["unshare", "-m", "bash", "-c", shell, "x", sys.executable, "-c", driver, *words]
    ran = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | env, capture_output=True, text=True, timeout=120, check=False
    )
    hold(ran.returncode, ran.stderr, verb)
    if verb == "chat":  # the engine's cache lies in memory
        assert (ran.returncode, (tmp_path / "after").read_text()) == (0, "full\n"), ran.stderr
        return
    assert ran.returncode == 2 or (verb, free) == ("verify", 65536), ran.stderr  # a report may fit
    left = set((tmp_path / "after").read_text().split()) - {"report.json"} if ran.returncode == 0 else {"full"}
    assert left == {"full"}
    assert ran.returncode == 0 or (tmp_path / "after").read_text() == "full\n"
