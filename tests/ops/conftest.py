"""Every operation is tested twice: with compiled kernels, and in its plain torch form."""

import pytest

from adacross.version import KERNELS, numba_version

# The compiler's own tests need one; everything else passes without.
collect_ignore = [] if numba_version() else ["test_kernels.py"]


@pytest.fixture(autouse=True, params=["1", "0"], ids=["kernels", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Turn the kernels on or off; True if they are on."""
    monkeypatch.setenv(KERNELS, request.param)
    return request.param == "1"
