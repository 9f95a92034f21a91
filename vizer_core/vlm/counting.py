"""Count what a piece of work launches: operations, waits of the host, passes of the tower.

A number that needs no GPU and that no busy machine blurs. An operation is what PyTorch dispatches
and what computes or copies: on a GPU a kernel or more. Views cost Python's time alone and are left
out. A wait is where the host reads a number that the device has computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = ("aten._local_scalar_dense", "aten.nonzero")


class Operations(TorchDispatchMode):
    """Counts operations by name while it is open.

    >>> with Operations() as counted:
    ...     _ = (torch.ones(2, 2) + 1).T
    >>> dict(counted.by_name)
    {'aten.ones.default': 1, 'aten.add.Tensor': 1}
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.by_name.values())

    @property
    def waits(self) -> int:
        """How often the host waits for the device."""
        return sum(n for name, n in self.by_name.items() if name.startswith(WAITS))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operation and run it."""
        returned = func._schema.returns
        alias = returned[0].alias_info if returned else None
        if alias is None or alias.is_write:  # a view shares memory and writes none
            self.by_name[str(func)] += 1
        return func(*args, **(kwargs or {}))


def most_bytes(work: Callable[[], Any]) -> int:
    """Return the most memory of a CPU that a piece of work uses at once beside what was there.

    >>> 8_000 <= most_bytes(lambda: (torch.ones(1000) + 1).sum()) < 12_000
    True
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = seen.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    now = most = 0
    for _, change in sorted(changes, key=lambda one: one[0]):
        now += change
        most = max(most, now)
    return most


@contextmanager
def tower_passes(vlm: Any) -> Iterator[Counter[str]]:
    """Count the images that go through a model's vision tower, as `images` of what is yielded."""
    seen: Counter[str] = Counter()
    encode = vlm.encode_pixels

    def counted(pixels: Any, grid: Any) -> Any:
        seen["images"] += len(grid)
        return encode(pixels, grid)

    vlm.encode_pixels = counted
    try:
        yield seen
    finally:
        del vlm.encode_pixels


def operations_per_token(
    vlm: Any, vision: Any, *, first: int = 8, more: int = 16
) -> dict[str, Any]:
    """Return operations and waits that one more token costs: captions of two lengths, compared.

    Captions are greedy and must not end before: take images and a model where they do not.
    """
    from vizer_core.decoding import Greedy

    found = []
    for tokens in (first, first + more):
        with torch.no_grad(), Operations() as counted:
            captions = vlm.generate(vision, decoding=Greedy(tokens))
        if captions.ids.shape[1] != tokens:
            raise ValueError(
                f"captions ended after {captions.ids.shape[1]} of {tokens} tokens: wanted a model "
                "that goes on, such as one with random weights"
            )
        found.append(counted)
    return {
        "operations": (found[1].total - found[0].total) / more,
        "waits": (found[1].waits - found[0].waits) / more,
    }
