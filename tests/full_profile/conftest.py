"""The miniature disk, made once for all chapters."""

from __future__ import annotations

import pytest

from tests.full_profile.disk import make_disk

collect_ignore = ["sitecustomize.py"]  # not a module of tests: it is for the kernels alone


@pytest.fixture(scope="session")
def full_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a user whose disk holds all that the full profile opens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        return make_disk(tmp_path_factory.mktemp("disk"))
