"""Fetches a checkpoint from the Hugging Face hub into its cache: pinned to a commit, usable offline.

A connection that breaks is taken up again where it stopped. A run that is killed keeps the files that are complete; the
one under way starts anew, because huggingface_hub 2.4 gives every partial file a name of its own and removes it.
"""

from __future__ import annotations

import difflib
import importlib.resources
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from convert.errors import HubError

if TYPE_CHECKING:
    from convert.progress import Progress, Stage

HUB_ID = re.compile(
    r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>(?!.*\.\.)[A-Za-z0-9][\w./-]*))?", re.ASCII
)
WANTED = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "chat_template*",
    "*.safetensors",
    "*.safetensors.index.json",
)
_FOLDER = "Give the folder of a checkpoint that is already on this machine, or try again when the hub can be reached"


@dataclass(frozen=True)
class Known:
    """Published checkpoints.

    Attributes:
        usable: ids in a format that is read, each with the commit taken when no revision is given (None: the latest).
        unread: ids in other formats, each with the usable one that holds the same model.
    """

    usable: Mapping[str, str | None]
    unread: Mapping[str, str]


def known() -> Known:
    """Reads ``known.json``, which lies beside this file."""
    text = importlib.resources.files("convert.checkpoint").joinpath("known.json").read_text(encoding="utf-8")
    return Known(**json.loads(text))


def suggest(model: str) -> tuple[str, ...]:
    """The usable ids nearest to a name, best first, at most two; all of them if none is near."""
    ids = known()
    if model in ids.unread:
        return (ids.unread[model],)
    near = difflib.get_close_matches(model.lower(), [each.lower() for each in ids.usable], n=2, cutoff=0.6)
    return tuple(each for low in near for each in ids.usable if each.lower() == low) or tuple(ids.usable)


def fetch(model: str, revision: str | None, progress: Progress | None, endpoint: str | None = None) -> tuple[Path, str]:
    """Downloads what a checkpoint needs, or finds it in the cache.

    Args:
        model: ``org/name``.
        revision: branch, tag or commit; by default the commit in ``known.json``, else ``main``.
        progress: told about the bytes as they arrive.
        endpoint: another hub than the configured one.

    Returns:
        the folder in the cache, and the commit it holds.

    Raises:
        HubError: the id or revision does not exist, access is not granted, or the hub cannot be reached and the
            checkpoint is not in the cache.
    """
    import httpx2
    from huggingface_hub import errors, snapshot_download

    revision = revision or known().usable.get(model)
    asked = f"download {model}" + (f"@{revision}" if revision else "")

    def download(bars: Any) -> str:
        return snapshot_download(
            model, revision=revision, allow_patterns=list(WANTED), endpoint=endpoint, tqdm_class=bars
        )

    try:
        if progress is None:
            folder = download(_bars(None))
        else:
            with progress.stage("download", None) as task:
                folder = download(_bars(task))
    except errors.GatedRepoError as error:
        raise HubError(asked, "access to this repository has to be granted", _grant(model)) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(asked, f"the repository has no revision {revision!r}", "Leave the revision out") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        # The hub answers 401 for a name that does not exist, too.
        raise HubError(asked, "no such repository on the hub", _instead(model)) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise HubError(asked, f"the hub denies access (HTTP {status})", _grant(model)) from error
        raise HubError(asked, f"the hub answered HTTP {status}", _FOLDER) from error
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(asked, model, error) from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        found = f"the connection to the hub broke ({type(error).__name__})"
        raise HubError(asked, found, "Run the command again: files that are complete are not fetched again") from error
    except OSError as error:
        raise HubError(
            asked, f"the download could not be stored or finished: {error}", "Run the command again"
        ) from error
    path = Path(folder)
    return path, path.name  # a snapshot's folder is named by its commit


def _unreachable(asked: str, model: str, error: BaseException) -> HubError:
    """The hub client falls back to its cache and then hides the first cause behind a missing entry."""
    from huggingface_hub import errors

    cause = error.__cause__
    if isinstance(cause, errors.HfHubHTTPError):
        status = cause.response.status_code
        if status in (401, 403):
            return HubError(
                asked, f"the hub denies access (HTTP {status})", "Log in with `hf auth login`, or give a folder"
            )
        return HubError(asked, f"the hub answered HTTP {status} and the checkpoint is not in the cache", _FOLDER)
    found = "no network, or the hub does not answer, and the checkpoint is not complete in the cache"
    if model.startswith("google/") and model not in known().usable:
        # Google's own ids are all known, so a wrong one can be told even without asking; other people's cannot.
        return HubError(asked, f"{found}; Google publishes no such id that could be read", _instead(model))
    return HubError(asked, found, _FOLDER)


def _grant(model: str) -> str:
    return f"Accept the terms on the page of {model}, then log in with `hf auth login`"


def _instead(model: str) -> str:
    return f"Did you mean {' or '.join(suggest(model))}? Any folder with a checkpoint will do, too"


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
