"""Fetches a checkpoint from the Hugging Face hub into its cache: small files first, pinned to a commit, usable offline.

A connection that breaks is taken up again where it stopped. A run that is killed keeps the files that are complete; the
one under way starts anew, because huggingface_hub 2.4 gives every partial file a name of its own and removes it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from convert.checkpoint.hub_errors import Place, patiently, refusals
from convert.checkpoint.hub_files import check_arrived, check_listing, check_room, listing, weight_files
from convert.checkpoint.known import known, suggest

__all__ = ["HUB_ID", "SMALL", "fetch", "known", "suggest"]

if TYPE_CHECKING:
    from convert.progress import Progress, Stage

HUB_ID = re.compile(
    r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>(?!.*\.\.)[A-Za-z0-9][\w./-]*))?", re.ASCII
)
COMMIT = re.compile(r"[0-9a-f]{40}")
# Whatever a checkpoint has beside its weights: a few megabytes that tell whether the weights are worth fetching.
SMALL = (
    "config.json",
    "generation_config.json",
    "*processor_config.json",
    "tokenizer*",
    "chat_template*",
    "*.safetensors.index.json",
)


def fetch(
    model: str,
    revision: str | None,
    progress: Progress | None,
    endpoint: str | None = None,
    check: Callable[[Path], object] = lambda folder: None,
) -> tuple[Path, str]:
    """Downloads what a checkpoint needs, or finds it in the cache.

    The small files come first. Only when they and the list of files are found good are the weights fetched, from the
    same commit, whatever happens to the branch meanwhile.

    Args:
        model: ``org/name``.
        revision: branch, tag or commit; by default the commit in ``known.json``, else ``main``.
        progress: told about the bytes of the weights as they arrive.
        endpoint: another hub than the configured one.
        check: given the folder with the small files; what it raises ends the download before the weights.

    Returns:
        the folder in the cache, and the commit it holds.

    Raises:
        HubError: the id or revision does not exist, access is not granted, the repository holds no safetensors, the
            disk is too small, a file arrived damaged, or the hub cannot be reached and the checkpoint is not in the
            cache.
    """
    from huggingface_hub import constants, snapshot_download

    revision = revision or known().usable.get(model)
    asked = f"download {model}" + (f"@{revision}" if revision else "")
    place = Place(model, revision, asked, endpoint or constants.ENDPOINT)
    alone = not _answers(model, revision, endpoint)

    def download(commit: str | None, patterns: tuple[str, ...], task: Stage | None) -> Path:
        def attempt() -> str:
            return snapshot_download(
                model,
                revision=commit,
                allow_patterns=list(patterns),
                endpoint=endpoint,
                tqdm_class=_bars(task),
                local_files_only=alone,
            )

        with refusals(place):
            return Path(patiently(attempt))

    folder = download(revision, SMALL, None)
    commit = folder.name  # a snapshot's folder is named by its commit
    files = listing(model, commit, folder)
    check_listing(asked, files)
    check(folder)
    weights = weight_files(asked, files, folder)
    missing = {name: size for name, size in weights.items() if not (folder / name).exists()}
    if missing:
        check_room(asked, sum(missing.values()), Path(constants.HF_HUB_CACHE))
        with (
            contextlib.nullcontext() if progress is None else progress.stage("download", sum(missing.values())) as task
        ):
            download(commit, (*SMALL, *weights), task)
        for name in missing:
            check_arrived(asked, folder / name)
    return folder, commit


def _answers(model: str, revision: str | None, endpoint: str | None) -> bool:
    """Whether there is a hub, where the client would ask for a commit's files six times, with pauses, to see.

    For a branch it asks once by itself, and for a commit whose list of files it has kept not at all.
    """
    import httpx2
    from huggingface_hub import HfApi, get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    if revision is None or not COMMIT.fullmatch(revision):
        return True
    try:
        try:
            get_cached_repo_tree(model, revision=revision)
        except CachedRepoTreeNotFoundError:
            HfApi(endpoint=endpoint).repo_info(model, revision=revision)
    except (httpx2.ConnectError, httpx2.TimeoutException):
        return False
    except Exception:  # whatever else it is, the download meets it again and says it
        return True
    return True


def _bars(task: Stage | None) -> type[Any]:
    """A stand-in for the hub client's progress bars that passes bytes on and prints nothing."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # There is one bar for files, one for bytes on the wire and one for bytes on disk: the last one counts.
            self._counts = kwargs.get("unit") == "B" and str(kwargs.get("desc", "")).startswith("Reconstructing")
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts and task is not None:
                task.advance(int(n or 0))
            return cast("bool | None", super().update(n))

    return Bar
