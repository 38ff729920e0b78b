"""The app's downloader against servers that misbehave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.android import kotlin_tools
from tests.support.samples.downloads import Client, DownloadCases, running


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    classes = kotlin_tools.compiled()
    java = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classes]
    with running([*java, "dev.gemmabridge.test.FetchDriverKt"], "model.litertlm") as found:
        yield found


class TestDownload(DownloadCases):
    pass
