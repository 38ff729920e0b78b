"""What the hub's client raises, in the user's words: what was asked, what was found, what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from convert.checkpoint.known import known, published, suggest
from convert.errors import HubError

_Found = TypeVar("_Found")
# Answers that may be others in a moment. The client retries some of them, for some of its requests.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_WAITS = (1.0, 3.0, 9.0)  # seconds
_MOST_WAIT = 60.0
_LATER = "Try again later, or give the folder of a checkpoint that is already on this machine"
_FOLDER = "Give the folder of a checkpoint that is already on this machine, or try again when the hub can be reached"


@dataclass(frozen=True)
class Place:
    """What was asked for, and where.

    Attributes:
        model: ``org/name``.
        revision: what was asked for, or the pin; None for the default branch.
        asked: in words, for messages.
        endpoint: URL of the hub.
    """

    model: str
    revision: str | None
    asked: str
    endpoint: str

    @property
    def page(self) -> str:
        """URL of the model's page."""
        return f"{self.endpoint}/{self.model}"


def patiently(attempt: Callable[[], _Found]) -> _Found:
    """Tries again while the hub answers that it is busy or broken; waits as long as it asks for, a minute at most."""
    from huggingface_hub.errors import HfHubHTTPError

    for wait in _WAITS:
        try:
            return attempt()
        except (HfHubHTTPError, FileNotFoundError) as error:
            # The client falls back to its cache and then hides the answer behind a missing entry.
            answer = error if isinstance(error, HfHubHTTPError) else error.__cause__
            if not isinstance(answer, HfHubHTTPError) or answer.response.status_code not in _PASSING:
                raise
            asked = answer.response.headers.get("Retry-After", "")
            time.sleep(min(_MOST_WAIT, float(asked)) if asked.isdigit() else wait)
    return attempt()


@contextlib.contextmanager
def refusals(place: Place) -> Iterator[None]:
    """Within this the client's errors become one line each.

    Raises:
        HubError: whatever went wrong.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise HubError(place.asked, "no such repository on the hub", _instead(place.model)) from error
    except errors.HfHubHTTPError as error:
        raise _answered(place, error) from error
    except errors.LocalEntryNotFoundError as error:
        raise _not_cached(place, error) from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise _broken(place, error) from error
    except OSError as error:
        raise _not_stored(place, error) from error


def _answered(place: Place, error: BaseException) -> HubError:
    """The hub has answered, and not with what was asked for."""
    from huggingface_hub import errors

    assert isinstance(error, errors.HfHubHTTPError)
    status, said = error.response.status_code, error.response.headers.get("X-Error-Message", "")
    if isinstance(error, errors.GatedRepoError):
        found = "its licence has to be accepted first" + ("" if status == 403 else ", and nobody is logged in")
        return HubError(place.asked, found, _grant(place))
    if isinstance(error, errors.RevisionNotFoundError):
        pin = known().usable.get(place.model)
        known_pin = f"; {place.model}@{pin} is known to be read" if pin else ""
        found = f"the repository has no revision {place.revision!r}"
        return HubError(place.asked, found, f"Leave the revision out, or take one of {place.page}/commits{known_pin}")
    if "Invalid credentials" in said:
        action = "Log in again with `hf auth login`, or mend HF_TOKEN"
        return HubError(place.asked, f"the hub does not accept the access token (HTTP {status})", action)
    if isinstance(error, errors.RepositoryNotFoundError):
        # Who may not see a repository gets the same answer as for one that does not exist.
        found = "no such repository on the hub, or a private one"
        return HubError(place.asked, found, f"{_instead(place.model)}; for a private one log in with `hf auth login`")
    if status in (401, 403):
        return HubError(place.asked, f"the hub denies access (HTTP {status})", _grant(place))
    if status == 429:
        found = "the hub allows no more requests for now (HTTP 429)"
        return HubError(place.asked, found, "Log in with `hf auth login`, which allows more, or try again later")
    return HubError(place.asked, f"the hub answered HTTP {status}", _LATER)


def _not_cached(place: Place, error: BaseException) -> HubError:
    """The client fell back to its cache, and there the checkpoint is not complete; the first cause is behind that."""
    import httpx2
    from huggingface_hub import errors

    cause, other = error.__cause__, _cached(place)
    held = f"the cache holds {place.model}@{other}" if other else "the checkpoint is not complete in the cache"
    ask = f"Ask for {place.model}@{other}, which needs no hub" if other else _FOLDER
    if isinstance(cause, errors.OfflineModeIsEnabled):
        found = f"HF_HUB_OFFLINE is set, so the hub is not asked, and {held}"
        return HubError(place.asked, found, f"{ask if other else 'Unset HF_HUB_OFFLINE, or give a folder'}")
    if isinstance(cause, errors.HfHubHTTPError):
        answer = _answered(place, cause)
        if other is None:
            return answer
        return HubError(place.asked, f"the hub answered HTTP {cause.response.status_code} and {held}", ask)
    why = _reason(place, cause) if isinstance(cause, httpx2.HTTPError) else "no network, or the hub does not answer"
    if other is None and place.model.startswith("google/") and not published(place.model):
        # Google's own ids are all known, so a wrong one can be told even without asking; other people's cannot.
        found = f"{why}, and {held}; Google publishes no such id that could be read"
        return HubError(place.asked, found, _instead(place.model))
    return HubError(place.asked, f"{why}, and {held}", ask)


def _reason(place: Place, cause: BaseException) -> str:
    import httpx2

    host = place.endpoint.split("://")[-1].split("/")[0]
    if isinstance(cause, httpx2.TimeoutException):
        return f"no network, or the hub does not answer: {host} was silent"
    said = str(cause).lower()
    if "name resolution" in said or "name or service" in said or "nodename" in said or "no address" in said:
        return f"no network, or the hub does not answer: the name {host} is not known here"
    return f"no network, or the hub does not answer at {host}"


def _broken(place: Place, error: BaseException) -> HubError:
    import httpx2

    if isinstance(error, httpx2.ProxyError):
        names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
        named = [name for name in names if os.environ.get(name)]
        found = f"the proxy that {' and '.join(named) or 'this machine'} names does not let the request through"
        return HubError(place.asked, found, "Mend or unset it; NO_PROXY makes exceptions")
    found = f"the connection to the hub broke ({type(error).__name__})"
    return HubError(place.asked, found, "Run the command again: files that are complete are not fetched again")


def _not_stored(place: Place, error: OSError) -> HubError:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        there = next(folder for folder in (cache, *cache.parents) if folder.exists())
        found = f"the disk of {cache} is full, {shutil.disk_usage(there).free / 1e9:.2f} GB are free"
        return HubError(place.asked, found, "Free some space, or set HF_HOME to a folder on another disk")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        found = f"{error.filename or cache} cannot be written ({error.strerror})"
        return HubError(place.asked, found, "Set HF_HOME to a folder that is yours")
    said = " ".join(str(error).split())
    return HubError(place.asked, f"the download could not be stored or finished: {said}", "Run the command again")


def _cached(place: Place) -> str | None:
    """Another commit of the repository whose weights are in the cache; of several, the one that was used last."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except (CacheNotFound, OSError):
        return None
    whole = [
        (revision.last_modified, revision.commit_hash)
        for found in repositories
        if (found.repo_type, found.repo_id) == ("model", place.model)
        for revision in found.revisions
        if any(file.file_name.endswith(".safetensors") for file in revision.files)
        and any(file.file_name == "config.json" for file in revision.files)
    ]
    others = [commit for _, commit in sorted(whole, reverse=True) if commit != place.revision]
    return others[0] if others else None


def _grant(place: Place) -> str:
    return f"Accept the terms at {place.page}, then log in with `hf auth login`, or set HF_TOKEN"


def _instead(model: str) -> str:
    return f"Did you mean {' or '.join(suggest(model))}? Any folder with a checkpoint will do, too"
