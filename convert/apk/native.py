"""The C shim between Kotlin and the engine, compiled for Android without the NDK.

There are no headers and libraries of Android's libc here: the shim declares the few functions it uses, and is linked
against a stub that has just their names. The linker of the phone binds them to the real ones.
"""

from __future__ import annotations

from pathlib import Path

from convert.apk import elf
from convert.apk.toolchain import Toolchain, ToolError

SHIM = "libgemmabridge.so"
TARGETS = {"arm64-v8a": "aarch64-linux-android", "x86_64": "x86_64-linux-android"}
PAGE = 16384  # bytes: phones with pages of 16 kB refuse less
# What a shim may ask of libc: all of it is in Android's since the first 64-bit release.
LIBC = frozenset({"malloc", "calloc", "realloc", "free", "memcpy", "memmove", "memset", "memcmp", "strlen", "strcmp"})


def compile_shim(tools: Toolchain, sources: Path, abi: str, min_sdk: int, out: Path, work: Path) -> elf.Library:
    """Compiles all C files of ``sources`` into ``out``; what it imports is there on every phone.

    Raises:
        ToolError: the compiler refuses, or the shim asks for something that neither the engine nor libc has.
    """
    files = sorted(sources.glob("*.c"))
    flags = [f"--target={TARGETS[abi]}{min_sdk}", "-std=c11", "-O2", "-fPIC", "-ffreestanding", "-fvisibility=hidden"]
    flags += ["-Wall", "-Wextra", "-Werror", "-isystem", str(tools.jni), "-nostdlib", "-shared", "-fuse-ld=lld"]
    flags += [f"-Wl,-z,max-page-size={PAGE}", "-Wl,--build-id=none", "-Wl,--strip-all", f"-Wl,-soname,{SHIM}"]
    if abi == "arm64-v8a":
        flags += ["-mno-outline-atomics"]  # those are functions of a runtime library that is not linked
    first = work / "first.so"
    tools.run([tools.clang, *flags, "-o", first, *files], work)

    engine = elf.read(tools.engine(abi))
    wanted = elf.read(first).imports - engine.exports
    if odd := sorted(wanted - LIBC):
        raise ToolError("build app.apk", f"the shim asks for {', '.join(odd)}, which no library has", "Report this")
    stub = work / "stub.c"
    stub.write_text("".join(f"void {name}(void) {{}}\n" for name in sorted(wanted)), "utf-8")
    libc = work / "libc.so"
    quiet = [*flags[: flags.index("-Wall")], "-fvisibility=default", "-fno-builtin", "-w"]
    tools.run(
        [tools.clang, *quiet, "-nostdlib", "-shared", "-fuse-ld=lld", "-Wl,-soname,libc.so", "-o", libc, stub], work
    )
    # The engine's library has no name of its own: linked by its path, its path would be needed. So another stub.
    names = work / "engine.c"
    bound = sorted(elf.read(first).imports & engine.exports)
    names.write_text("".join(f"void {name}(void) {{}}\n" for name in bound), "utf-8")
    proxy = work / tools.engine(abi).name
    soname = f"-Wl,-soname,{proxy.name}"
    tools.run([tools.clang, *quiet, "-nostdlib", "-shared", "-fuse-ld=lld", soname, "-o", proxy, names], work)
    tools.run([tools.clang, *flags, "-Wl,--no-undefined", "-o", out, *files, proxy, libc], work)
    return elf.read(out)
