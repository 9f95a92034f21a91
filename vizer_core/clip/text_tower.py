"""Text features without the padding: an exact shorter forward for causal text towers.

A causal tower that pools at the end token never lets a later position touch the result, so a
batch can be cut after its last end token. The tower's own `encode_text` insists on the full
context (77 positions for CLIP); captions need about 15. Towers that look both ways or pool
elsewhere (SigLIP, CoCa, Hugging Face text models) run as they are.

The end token is the highest id of a row where the tower pools by `argmax` (OpenAI CLIP), or
the configured `eos_id`; Radford et al. 2021, section 2.4.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CausalTower:
    """The parts of a causal, end-token-pooled text tower, under one name for each.

    open_clip keeps them on the model itself (CLIP) or in `model.text` (CustomTextCLIP).
    """

    module: nn.Module
    eos_id: int | None  # None: the end token is the highest id of the row

    @property
    def context_length(self) -> int:
        """Return how many positions the tower has."""
        return int(self.module.positional_embedding.shape[0])

    def end_positions(self, tokens: Int[Tensor, "b t"]) -> Int[Tensor, " b"]:
        """Find each row's end token; raise `ValueError` where a row has none.

        Without `eos_id` it is the highest id of the batch, so a batch without any end is not seen.
        """
        if self.eos_id is not None:
            found = tokens == self.eos_id
            missing, end = int((~found.any(dim=1)).sum()), self.eos_id
            positions = found.int().argmax(dim=1)
        else:
            positions, end = tokens.argmax(dim=1), int(tokens.max())
            missing = int((tokens.max(dim=1).values != end).sum())
        if missing:
            raise ValueError(
                f"{missing} of {len(tokens)} token rows contain no end token (id {end}): the tower "
                "pools there. Let the tokenizer end each row with it, truncated rows too."
            )
        return positions


def causal_tower(model: nn.Module) -> CausalTower | None:
    """Return the model's text tower if padding can be cut exactly, else None."""
    from open_clip.transformer import TextTransformer

    if hasattr(model, "text_pool_type"):  # open_clip.CLIP
        module, pool, eos_id = model, model.text_pool_type, model.text_eos_id
    elif isinstance(getattr(model, "text", None), TextTransformer):
        module, pool, eos_id = model.text, model.text.pool_type, model.text.eos_id
        if module.cls_emb is not None or module.use_pad_mask or module.output_tokens:
            return None
    else:
        return None
    if module.attn_mask is None or pool not in ("argmax", "eos"):
        return None
    return CausalTower(module, eos_id if pool == "eos" else None)


def vocabulary_size(model: nn.Module) -> int:
    """Return how many token ids a model knows; CoCa keeps the number on its text tower alone."""
    owner = model if hasattr(model, "vocab_size") else model.text
    return int(owner.vocab_size)


def truncate_keeping_end(
    tower: CausalTower, tokens: Int[Tensor, "b t"]
) -> tuple[Int[Tensor, "b t2"], int]:
    """Cut rows to the tower's context, keep their end token, and count the rows that lost words.

    A tokenizer shows an over-long caption by placing its end token beyond the context: rows
    that end inside are returned as they came, without the columns behind the context.
    """
    context = tower.context_length
    ends = tower.end_positions(tokens)
    too_long = ends >= context
    cut = tokens[:, :context].clone()
    cut[too_long, -1] = tokens[too_long, ends[too_long]]
    count = int(too_long.sum())
    if count:
        logger.warning(
            "%d of %d texts are longer than %d tokens and were truncated", count, len(cut), context
        )
    return cut, count


def trimmed_text_features(tower: CausalTower, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    """Run the text tower on the positions up to the batch's last end token, unnormalised.

    Equal to the model's own `encode_text` on the full context.
    """
    module = tower.module
    ends = tower.end_positions(tokens)
    length = int(ends.max()) + 1
    dtype = module.transformer.get_cast_dtype()
    x = module.token_embedding(tokens[:, :length]).to(dtype)
    x = x + module.positional_embedding[:length].to(dtype)
    x = module.transformer(x, attn_mask=module.attn_mask[:length, :length])
    pooled = module.ln_final(x)[torch.arange(len(x), device=x.device), ends]
    projection = module.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
