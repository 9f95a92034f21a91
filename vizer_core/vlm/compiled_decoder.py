"""Fast decoding whose tokens all have the same shapes, so that a token's work is launched at once.

`FastDecoder` launches some 480 operations per token, each of which Python hands to the GPU. With
shapes that stay the same a GPU can be told them once: on CUDA the step of a token is recorded at
the first token (a CUDA graph) and played for the others; elsewhere `torch.compile` makes one
function of it, which wants a C++ compiler and pays only for tests.

What differs from `FastDecoder`: keys and values of all tokens to come are there from the start,
those to come barred, and a batch keeps its rows when captions end. Sums are the same but for
rounding. A recording belongs to one batch, since LoRA is merged anew for each; it costs about two
tokens. Never measured on a GPU: `benchmarks/gpu.py` has the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vizer_core.vlm.fast_decoder import FastDecoder, FixedCache

BACKEND = "inductor"  # of torch.compile, where there is no CUDA
Step = Callable[..., Tensor]


class CompiledDecoder(FastDecoder):
    """A text model's layers that read one token per row, by a step that is made once a batch."""

    def text_pass(
        self, tokens: Tensor, mask: Tensor, positions: Tensor, cache: FixedCache
    ) -> Tensor:
        """Return states: of a prompt's embeddings [b, s, h], or of one token per row [b, 1]."""
        if tokens.is_floating_point():
            return super().text_pass(tokens, mask, positions, cache)
        if not cache.layers:
            cache.open()
            self._prepare(mask, positions)
            self.barred[..., self._length :] = torch.finfo(self.barred.dtype).min
            self._place = torch.tensor([self._length], device=tokens.device)
            self._run: Step | None = None
        else:
            self._place += 1
        at, rows = self._step, slice(None)
        self._step += 1
        self.barred.index_fill_(3, self._place, 0.0)
        changing = (
            tokens[:, 0],
            self._turns(self.cos[at], rows, 1.0),
            self._turns(self.sin[at], rows, 0.0),
        )
        if self._run is None:
            self._run = self._made(changing, cache)
        return self._run(*changing)[:, None]

    def _made(self, changing: tuple[Tensor, ...], cache: FixedCache) -> Step:
        """Return the step with what is only written into: mask, place, keys and values.

        A recording knows them by their addresses.
        """
        barred, place, layers = self.barred, self._place, cache.layers

        def read(tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
            return self.step(self.embeddings[tokens], cos, sin, barred, layers, place)

        if records(changing[0].device):
            return Recording(read, changing)
        return torch.compile(read, backend=BACKEND, dynamic=False)


def records(device: torch.device) -> bool:
    """Say whether a device plays recordings; elsewhere a step is compiled."""
    return device.type == "cuda"


class Recording:
    """A function of CUDA tensors, recorded with some arguments and played with others.

    It has to write only where it writes again: it runs once before it is recorded.
    """

    def __init__(self, function: Step, arguments: tuple[Tensor, ...]) -> None:
        self.arguments = tuple(argument.clone() for argument in arguments)
        side: Any = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            function(*self.arguments)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.returned = function(*self.arguments)

    def __call__(self, *arguments: Tensor) -> Tensor:
        """Return what the function gives for other arguments; the next call writes over it."""
        for own, given in zip(self.arguments, arguments, strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.returned
