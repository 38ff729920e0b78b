"""Writes a copy of a checkpoint under the published names: ``python -m convert.checkpoint.rename FOLDER NEW_FOLDER``.

For checkpoints whose tensors carry the names of a wrapper (``convert.checkpoint.names``). Only headers change: the
tensors' bytes, and every other file, are copied as they are.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

from convert.checkpoint.config import read_fields
from convert.checkpoint.names import published
from convert.checkpoint.other_kinds import check_folder
from convert.checkpoint.safetensors import INDEX, Tensor, read_folder
from convert.errors import CheckpointError, ConvertError


def rename(folder: Path, out: Path) -> int:
    """Writes the copy and returns how many tensors have another name there.

    Raises:
        CheckpointError: the folder is no checkpoint, two tensors would have one name, or ``out`` is not a new folder.
    """
    asked = f"rename the tensors of {folder}"
    if out.exists() or out.is_symlink():
        raise CheckpointError(asked, f"{out} exists", "Give a folder that is not there yet")
    check_folder(folder, asked)
    text, whole = read_fields(folder)
    tensors = read_folder(folder, asked)
    names: dict[str, str] = {}
    for name in sorted(tensors):
        wanted, _ = published(name, text is not whole)
        if wanted in names.values():
            both = next(other for other, taken in names.items() if taken == wanted)
            raise CheckpointError(asked, f"{both} and {name} would both be {wanted}", "Remove the one that is old")
        names[name] = wanted
    files = {tensor.file.path for tensor in tensors.values()}
    try:
        out.mkdir(parents=True)
        for path in sorted(files):
            _write([tensor for tensor in tensors.values() if tensor.file.path == path], names, out / path.name)
        for path in sorted(folder.iterdir()):
            if path.is_file() and path not in files and path.name != INDEX:
                shutil.copyfile(path, out / path.name)
        if (folder / INDEX).is_file():
            index: dict[str, Any] = {
                "metadata": {},
                "weight_map": {names[n]: t.file.path.name for n, t in tensors.items()},
            }
            (out / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), "utf-8")
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        raise CheckpointError(asked, f"it cannot be written ({error.strerror})", "Give another folder") from error
    return sum(name != wanted for name, wanted in names.items())


def _write(tensors: list[Tensor], names: dict[str, str], path: Path) -> None:
    """One file of tensors, in the order in which they lie in theirs."""
    header, at = dict[str, Any](), 0
    ordered = sorted(tensors, key=lambda tensor: (tensor.offset, tensor.nbytes))
    for tensor in ordered:
        offsets = [at, at + tensor.nbytes]
        header[names[tensor.name]] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        at += tensor.nbytes
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(content)) + content)
        for tensor in ordered:
            for _, rows in tensor.chunks():
                file.write(rows.tobytes())


def main() -> None:
    """Command line; exit code 2 and one line where it cannot be done."""
    parser = argparse.ArgumentParser(description="copy a checkpoint, its tensors under the published names")
    parser.add_argument("folder", type=Path)
    parser.add_argument("new_folder", type=Path)
    options = parser.parse_args()
    try:
        count = rename(options.folder, options.new_folder)
    except ConvertError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    sys.stdout.write(f"{options.new_folder}: {count} tensors have another name than in {options.folder}\n")


if __name__ == "__main__":
    main()
