"""What the tests of the sample apps share, whatever their language."""

import pytest

pytest.register_assert_rewrite("tests.support.samples.downloads")
