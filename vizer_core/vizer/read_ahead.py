"""Images of the next batch opened and preprocessed in a thread, while the model is at work on one.

`ReadAhead` is a `VisionSource` around another one that is told the batches to come. It asks for no
model in its thread (`vlm.prepared`), so that what is encoded, in which order and in which batches,
stays what it was, to the last bit. One batch is ahead: as many preprocessed images more in memory.
What goes wrong in the thread is done again in the caller when its turn comes, so that errors are
those that the source itself raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from vizer_core.vizer.targets import VisionSource, encode_of, prepare_of
from vizer_core.vlm.protocol import VisionBatch


class ReadAhead:
    """A source whose `batches` are asked for one after the other; others may come in between.

    `with` it: at the end, or when an error comes, the thread has ended.
    """

    def __init__(self, source: VisionSource, batches: Sequence[Sequence[int]]) -> None:
        self.source, self.batches = source, [tuple(batch) for batch in batches]
        # of each batch where it stands first, so that one that nobody expected costs one look
        self._places = {batch: i for i, batch in reversed(list(enumerate(self.batches)))}
        self._next = 0
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: tuple[int, Future[Any]] | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.source)

    def close(self) -> None:
        """Forget what was to come, and wait until the thread has ended."""
        pool, self._pool, self._waiting = self._pool, None, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def select(self, indices: list[int]) -> VisionBatch:
        """Return what the source says of the images at `indices`, and begin with the next batch."""
        place = self._place_of(tuple(indices))
        if place is None:
            return self.source.select(indices)
        ready = self._ready(place)
        self._next = place + 1
        self._begin(self._next)
        return encode_of(self.source, ready, indices)  # where nothing is ready: `select`

    def _place_of(self, indices: tuple[int, ...]) -> int | None:
        """Return which of the batches is asked for: the next one, or another after a detour."""
        if self._next < len(self.batches) and self.batches[self._next] == indices:
            return self._next
        return self._places.get(indices)

    def _ready(self, place: int) -> Any:
        """Return what the thread made of a batch; None where it made nothing of it."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting[0] != place:
            return None
        fault = waiting[1].exception()
        return waiting[1].result() if fault is None else None

    def _begin(self, place: int) -> None:
        if place >= len(self.batches):
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        future = self._pool.submit(prepare_of, self.source, list(self.batches[place]))
        self._waiting = place, future


@contextmanager
def read_ahead(source: VisionSource, batches: Sequence[Sequence[int]]) -> Iterator[VisionSource]:
    """Yield a source whose batches are prepared ahead; the source itself where nothing can be.

    A `VisionBatch` was computed before, and one batch has none after it.
    """
    if len(batches) < 2 or not hasattr(source, "prepare"):
        yield source
        return
    with ReadAhead(source, batches) as ahead:
        yield ahead


def batches_of(count: int, batch: int) -> list[list[int]]:
    """Return the indices of `count` images in order, `batch` at a time.

    >>> batches_of(3, 2)
    [[0, 1], [2]]
    """
    return [list(range(i, min(i + batch, count))) for i in range(0, count, batch)]
