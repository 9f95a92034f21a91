"""Gradient checkpointing: keep each layer's input only, and compute the layer again going back.

Chen et al. 2016 (1604.06174). One forward pass more, and memory that grows with the layers' inputs
instead of everything inside them (`memory.kept_bytes`). transformers' layers do it by themselves,
but only in training mode, which would switch dropout on; here the layers alone believe that they
are training, and only while a pass with gradient and without a cache goes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed(text_model: nn.Module) -> Iterator[None]:
    """Run the text model with gradient checkpointing inside this context."""
    layers = list(text_model.layers)
    again = partial(checkpoint, use_reentrant=False)
    for layer in layers:
        layer.gradient_checkpointing, layer._gradient_checkpointing_func = True, again
        layer.training = True  # the layer alone: its attention and feed-forward stay in eval mode
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False
