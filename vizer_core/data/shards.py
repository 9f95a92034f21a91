"""Cut a long job into shards, and deal the shards to processes.

The cut depends on the number of items and the shard size only, never on how many processes
there are: two processes make, file by file, what one makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Items `start` up to, not including, `stop`."""

    index: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """File name stem, which sorts in order.

        >>> Shard(3, 30, 40).name
        'shard-00003'
        """
        return f"shard-{self.index:05d}"

    def __len__(self) -> int:
        return self.stop - self.start


def plan_shards(count: int, size: int) -> tuple[Shard, ...]:
    """Cut `count` items into shards of `size`; the last one may be shorter.

    >>> [(shard.start, shard.stop) for shard in plan_shards(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    if count < 1 or size < 1:
        raise ValueError(f"got {count} items in shards of {size}, wanted at least 1 of each")
    starts = range(0, count, size)
    return tuple(Shard(i, start, min(start + size, count)) for i, start in enumerate(starts))


def shards_of_process(shards: Sequence[Shard], rank: int, world: int) -> tuple[Shard, ...]:
    """Deal shards like cards: process `rank` of `world` gets every `world`-th one.

    >>> [shard.index for shard in shards_of_process(plan_shards(5, 1), 1, 2)]
    [1, 3]
    """
    if not 0 <= rank < world:
        raise ValueError(f"got process {rank} of {world}, wanted 0 to {world - 1}")
    return tuple(shards[rank::world])
