"""Signs by APK Signature Scheme v2 and v3, with a key that everybody has.

A signature is what Android wants of every app; here it vouches for nothing. RSA with PKCS#1 v1.5 padding makes the
same signature every time, so that the signed file can be compared as well.
"""

from __future__ import annotations

import base64
from pathlib import Path

from convert.apk.resources import MIN_SDK
from convert.apk.toolchain import Toolchain

KEY, CERTIFICATE = "anyone-has-this-key.pem", "anyone-has-this-key.crt"


def sign(tools: Toolchain, unsigned: Path, keys: Path, out: Path, work: Path) -> None:
    """Signs ``unsigned`` with the key in the folder ``keys``.

    Raises:
        ToolError: the signer refuses.
    """
    lines = (keys / KEY).read_text("ascii").splitlines()
    (work / "key.der").write_bytes(base64.b64decode("".join(line for line in lines if "-----" not in line)))
    schemes = ["--v1-signing-enabled", "false", "--v2-signing-enabled", "true", "--v3-signing-enabled", "true"]
    flags = [*schemes, "--v4-signing-enabled", "false", "--min-sdk-version", str(MIN_SDK)]
    pair = ["--key", "key.der", "--cert", str(keys / CERTIFICATE)]
    apksigner(tools, ["sign", *pair, *flags, "--in", str(unsigned), "--out", str(out)], work)


def apksigner(tools: Toolchain, arguments: list[str], work: Path) -> str:
    """Runs Android's own signer and verifier."""
    jars = [tools.jar("apksigner"), tools.jar("apksig")]
    return tools.java("com.android.apksigner.ApkSignerTool", jars, arguments, work)
