"""What a hub answers, made by whichever HTTP library huggingface_hub uses."""

from __future__ import annotations

import importlib
from typing import Any


def http_answer(status: int) -> Any:
    """Return a response with this status code, as the hub's errors carry one."""
    from huggingface_hub.errors import HfHubHTTPError

    library = next(
        kind.__module__.partition(".")[0]
        for kind in HfHubHTTPError.__mro__
        if kind.__module__.startswith("httpx")
    )
    httpx = importlib.import_module(library)
    return httpx.Response(status, request=httpx.Request("GET", "https://example.org"))
