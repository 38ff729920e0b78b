"""Swift for Linux: Debian's packages, each by name, version and digest, unpacked into a folder of the cache.

``python -m tests.support.ios.swift_root`` fetches them; ``--lock`` writes the list anew, from what Debian has today.
Nothing is installed: the folder is a root of its own, in which the compiler runs by ``chroot`` within namespaces of its
own, which a user may make as well as root where the kernel allows it. 550 MB are downloaded, 2 GB stay.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from runtime_tests.pinned import fetch
from runtime_tests.pinned.pieces import FetchError, Piece, cache, digest, held, place
from tests.support.samples.locked import locked

LOCK = Path(__file__).with_name("swift_pieces.json")
SUITE = "trixie"
# What is asked for; the lock also lists what these need.
WANTED = ("swiftlang", "libc6-dev", "libstdc++-14-dev", "bash", "coreutils", "base-files")
# Nothing of what is built or run here needs them, and Debian changes some of them often.
LEFT_OUT = (
    *(
        "cpp",
        "debconf",
        "debianutils",
        "gcc",
        "libcc1",
        "libdb5.3",
        "libedit",
        "libisl",
        "libmpc",
        "libmpfr",
        "libpython",
    ),
    *("libsystemd", "mawk", "media-types", "netbase", "readline", "rpcsvc", "tzdata"),
)
# Debugger, editor's services and documentation: a third of the compiler's bytes.
UNUSED = (
    "bin/lldb*",
    "bin/clangd",
    "bin/docc",
    "bin/sourcekit-lsp",
    "bin/swift-format",
    "lib/liblldb*",
    "lib/libsourcekitd*",
)
BIN = "/usr/libexec/swift/bin:/usr/bin"
_LOADER, _LIBRARIES = (
    "usr/lib64/ld-linux-x86-64.so.2",
    ("usr/lib/x86_64-linux-gnu", "usr/libexec/swift/lib/swift/linux"),
)
_MOUNT = """set -e
root=$1; shift
mount --rbind /dev "$root/dev"; mount --rbind /proc "$root/proc"
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done; shift
exec chroot "$root" /usr/bin/env -i HOME=/tmp LANG=C.UTF-8 TERM=dumb PATH="$GEMMA_PATH" "$@"
"""


class NoSwiftError(Exception):
    """There is no Swift here; one line says why."""


def pieces() -> tuple[Piece, ...]:
    """As the lock lists them."""
    listed = json.loads(LOCK.read_text("utf-8"))
    return tuple(Piece("debian", one["name"], one["version"], one["sha256"], SUITE) for one in listed)


def root(fetching: bool) -> Path:
    """The unpacked packages.

    Args:
        fetching: whether they may be downloaded.

    Raises:
        NoSwiftError: they are not there and are not, or cannot be, downloaded; or no program can run in them.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoSwiftError(f"Swift's packages are for Linux on x86-64, this is {sys.platform} on {platform.machine()}")
    final = place(cache("swift"), pieces(), UNUSED)
    with locked(cache("swift.lock")):
        if not final.is_dir():
            if not fetching:
                raise NoSwiftError("Swift is not in the cache; `just swift-test` fetches it (550 MB, 2 GB unpacked)")
            _fill(final)
    tried = inside(final, {}, ["true"])
    if tried.returncode:
        raise NoSwiftError(f"no program can run in Swift's root: {tried.stderr.strip()[:300]}")
    return final


def inside(
    folder: Path, mounts: dict[Path, str], words: Sequence[str], seconds: float = 1200
) -> subprocess.CompletedProcess[str]:
    """Runs a program in the root, with folders of this machine mounted where ``mounts`` says."""
    if shutil.which("unshare") is None:
        raise NoSwiftError("unshare (Debian's util-linux) is needed and was not found")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    pairs = [word for source, target in mounts.items() for word in (str(source), target)]
    command = ["unshare", *user, "--mount", "bash", "-c", _MOUNT, "root", str(folder), *pairs, "--", *words]
    # chroot and mount lie where a user's PATH need not look.
    env = os.environ | {"GEMMA_PATH": BIN, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=seconds, check=False)


def direct(folder: Path, program: Path) -> list[str]:
    """The words that run a program which was built in the root, outside of it: with its loader and libraries."""
    path = ":".join(str(folder / each) for each in _LIBRARIES)
    return [str(folder / _LOADER), "--library-path", path, str(program)]


def _fill(final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    for left in final.parent.glob(".fill-*"):  # of one that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".fill-") as name:
        files, ready = Path(name) / "files", Path(name) / "ready"
        files.mkdir()
        try:
            fetch.from_apt(pieces(), files)
            for file in held(pieces(), files):
                fetch.command(["dpkg-deb", "-x", str(file), str(ready)])
                file.unlink()
        except FetchError as error:
            raise NoSwiftError(f"Swift cannot be had: {error}") from error
        for pattern in UNUSED:
            for path in (ready / "usr/libexec/swift").glob(pattern):
                path.unlink()
        (ready / "usr/bin/sh").symlink_to("bash")
        ready.rename(final)


def _lock() -> None:
    """Asks apt what ``WANTED`` needs of ``SUITE``, downloads it and writes the list."""
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        names = _closure(state)
        (state / "files").mkdir()
        fetch.command(["apt-get", "-q", "download", *names], _settings(state), state / "files")
        out = []
        for file in sorted((state / "files").iterdir()):
            said = fetch.command(["dpkg-deb", "-f", str(file), "Package", "Version"]).splitlines()
            fields = dict(line.split(": ", 1) for line in said)
            out.append({"name": fields["Package"], "version": fields["Version"], "sha256": digest(file)})
    lines = ",\n".join("  " + json.dumps(one) for one in sorted(out, key=lambda one: one["name"]))
    LOCK.write_text(f"[\n{lines}\n]\n", "utf-8")


def _settings(state: Path) -> dict[str, str]:
    return {"APT_CONFIG": str(state / "apt.conf")}


def _closure(state: Path) -> list[str]:
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    listed = fetch.command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"])
    mirror = sorted(words[0] for line in listed.splitlines() if "-" not in (words := line.split())[1])[0]
    (state / "sources.list").write_text(f"deb {mirror} {SUITE} main\n", "utf-8")
    (state / "apt.conf").write_text(
        f'Dir::State::lists "{state}/lists"; Dir::State::status "{state}/status"; Dir::Cache "{state}/cache";\n'
        f'Dir::Etc::sourcelist "{state}/sources.list"; Dir::Etc::sourceparts "-"; APT::Architecture "amd64";\n'
        'APT::Install-Recommends "false"; APT::Sandbox::User ""; Acquire::Languages "none";\n',
        "utf-8",
    )
    fetch.command(["apt-get", "-q", "update"], _settings(state))
    said = fetch.command(["apt-get", "install", "--simulate", "-y", *WANTED], _settings(state))
    names = [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]
    return sorted(name for name in set(names) if not name.startswith(LEFT_OUT))


def _main() -> None:
    if "--lock" in sys.argv:
        _lock()
    elif sys.platform != "darwin":  # there Xcode brings it
        try:
            root(fetching=True)
        except NoSwiftError as error:
            sys.exit(f"not run: {error}")


if __name__ == "__main__":
    _main()
