"""Generate captions from cached vision features, over a key-value cache: greedy, sampled, by beam.

`CaptionGenerator` is what an adapter inherits: loading, `generate`, `caption`. Beneath it
`generate_ids` adds one token after the other. The prompt runs once an image, also when several
captions are drawn for it: its keys and values are then repeated. Randomness is one uniform number a
token, drawn on the CPU for all rows and all positions before the first word and read through the
inverse of the distribution function: the same generator gives the same captions on every device and
for every way of splitting the batch. Beam search is transformers' own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from vizer_core.decoding import Beam, Decoding, Greedy, Sample
from vizer_core.token_loop import OverflowWatch
from vizer_core.vlm.compiled_decoder import CompiledDecoder
from vizer_core.vlm.fast_decoder import FAMILIES as READ_FAMILIES
from vizer_core.vlm.fast_decoder import FastDecoder, supports
from vizer_core.vlm.language_side import LanguageSide
from vizer_core.vlm.pretrained import read_config, read_model, read_processor
from vizer_core.vlm.prompts import INSTRUCTION, Prefix
from vizer_core.vlm.protocol import CaptionBatch, Prompt, VisionBatch

LOOK_EVERY = 8  # tokens, in fast decoding, after which the host asks how many captions have ended
ROWS_AT_ONCE = 128  # captions generated in one batch
Adapter = TypeVar("Adapter", bound="CaptionGenerator")
Logits = Float[Tensor, "b v"]
TextPass: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True)
class TokenLimits:
    """Ids with a role: what ends a caption, what is never generated, what never comes first.

    Where `only_first` is not empty, nothing else comes first. The host asks every `look_every`
    tokens how many captions have ended: a GPU has to come to rest for that. A batch that does not
    shrink keeps its rows until all have ended.
    """

    eos: tuple[int, ...]
    pad: int
    suppressed: tuple[int, ...] = ()
    banned_first: tuple[int, ...] = ()
    only_first: tuple[int, ...] = ()
    look_every: int = 1
    shrinks: bool = True


class CaptionGenerator(LanguageSide):
    """A language side that generates. The vision tower is never called by `generate`.

    A family says in `classes` which of transformers' classes reads which `model_type`. Its
    constructor takes a model, its processor and its name, and freezes the model; what else it
    takes, with defaults, are the options of `from_pretrained`.
    """

    classes: ClassVar[dict[str, str]]
    prepares: ClassVar[bool] = False  # `encode_image` is `preprocess`, then `encode_pixels`
    fast: bool = False  # decode with `FastDecoder`: the same captions but for rounding
    compiled: bool = False  # with `CompiledDecoder`: the same again, a token launched at once
    reading: Mapping[str, Any] = MappingProxyType({})  # how it was asked to read, as a user says it

    def __init__(self, model: nn.Module, processor: Any, name: str, *, default_prompt: str) -> None:
        super().__init__(model, processor, name, default_prompt=default_prompt)
        if self.base.config.model_type not in self.classes:
            wanted = " or ".join(self.classes.values())
            raise ValueError(f"{name} is a {type(self.base).__name__}: wanted {wanted}")

    @classmethod
    def from_pretrained(
        cls: type[Adapter],
        name_or_path: str | Path,
        *,
        device: torch.device | str = "auto",
        dtype: torch.dtype | None = None,
        four_bit: bool = False,
        **options: Any,
    ) -> Adapter:
        """Load a checkpoint of the family from the hub, the cache or a folder.

        `options` are those of the constructor, such as `image_splitting` or `max_pixels`. Without
        a `default_prompt` an instruct checkpoint is asked in its chat template.
        """
        family = read_config(name_or_path).model_type
        if family not in cls.classes:
            raise ValueError(
                f"{name_or_path} is a {family!r}: {cls.__name__} wants one of "
                f"{sorted(cls.classes)}; load_vlm chooses the adapter by itself"
            )
        class_name = cls.classes[family]
        model = read_model(name_or_path, class_name, device=device, dtype=dtype, four_bit=four_bit)
        found = cls(model, read_processor(name_or_path), str(name_or_path), **options)
        if "default_prompt" not in options and found.is_instruct:
            found.default_prompt = found.chat_prompt(INSTRUCTION)
        return found

    @abstractmethod
    def encode_image(self, images: Sequence[Image.Image], *, batch_size: int = 32) -> VisionBatch:
        """Run the frozen vision side once, without gradient."""

    @torch.no_grad()
    def generate(
        self,
        vision: VisionBatch,
        *,
        decoding: Decoding,
        samples: int = 1,
        prompt: Prompt = None,
        banned: Sequence[str] = (),
        opening: Sequence[str] = (),
        generator: torch.Generator | None = None,
    ) -> CaptionBatch:
        """Generate `samples` captions per image, order A, A, B, B; `banned` words never come first.

        Where `opening` names words, one of them comes first, the likeliest or as it is drawn.
        Sampling reads `generator` once, for all captions: batches and devices do not change them.
        Raises `ValueError` where the model overflows (float16) instead of going on.
        """
        if samples < 1 or len(vision) == 0:
            raise ValueError(f"samples={samples} for {len(vision)} images: wanted at least 1 each")
        prompts = self.prompts_for(vision, prompt)
        limits = TokenLimits(
            eos=self.tokens.eos_ids,
            pad=self.tokens.pad,
            suppressed=(self.image_token_id,),
            banned_first=self.tokens.first_ids(banned),
            only_first=self._opening_ids(opening, banned),
            look_every=LOOK_EVERY if self.fast or self.compiled else 1,
            shrinks=not self.compiled,
        )
        if isinstance(decoding, Beam):
            if samples > 1:
                raise ValueError("beam search gives one caption per image: use Sample() for more")
            return self.tokens.generated([self._search(vision, prompts, decoding, limits)])
        uniform = uniform_numbers(samples * len(vision), decoding, generator)
        images = max(1, ROWS_AT_ONCE // samples)
        parts = []
        for first in range(0, len(vision), images):
            last = min(first + images, len(vision))
            some, their_prompts = vision.select(range(first, last)), prompts[first:last]
            numbers = uniform[first * samples : last * samples]
            parts.append(self._generate(some, their_prompts, decoding, limits, numbers))
        return self.tokens.generated(parts)

    def _opening_ids(self, opening: Sequence[str], banned: Sequence[str]) -> tuple[int, ...]:
        """Return the tokens that alone may come first; none where every one may."""
        found = set(self.tokens.first_ids(opening)) - set(self.tokens.first_ids(banned))
        if opening and not found:
            raise ValueError(f"opening {opening} is banned too: no word could come first")
        return tuple(sorted(found))

    def caption(
        self,
        images: Sequence[Image.Image],
        *,
        decoding: Decoding | None = None,
        prompt: Prompt = None,
        batch_size: int = 32,
        generator: torch.Generator | None = None,
    ) -> list[str]:
        """Caption images: encode, then generate, greedily unless told otherwise."""
        vision = self.encode_image(images, batch_size=batch_size)
        rule = decoding or Greedy()
        return list(self.generate(vision, decoding=rule, prompt=prompt, generator=generator).texts)

    def __call__(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        generator: torch.Generator | None = None,
        decoding: Decoding | None = None,
        prompt: Prompt = None,
    ) -> list[str]:
        """Caption any number of images, `batch_size` in memory at once, as `caption` does."""
        if len(images) == 0 or batch_size < 1:
            raise ValueError(
                f"got {len(images)} images in batches of {batch_size}: wanted at least 1 of each"
            )
        asked = {"decoding": decoding, "prompt": prompt, "generator": generator}
        texts: list[str] = []
        for first in range(0, len(images), batch_size):
            texts += self.caption(images[first : first + batch_size], **asked)
        return texts

    def _generate(
        self,
        vision: VisionBatch,
        prompts: list[str],
        rule: Greedy | Sample,
        limits: TokenLimits,
        uniform: Float[Tensor, "rows t"],
    ) -> Int[Tensor, "rows generated"]:
        watch = OverflowWatch(self.name, self.embedding_table.dtype)
        text_pass, cache = self._text_pass, self.new_cache()
        if decoder_class := self._decoder_class():
            decoder = decoder_class(self.text_model, text_pass, tokens=rule.max_tokens)
            text_pass, cache = decoder.text_pass, decoder.new_cache(cache)
        generated = generate_ids(
            text_pass,
            lambda states: watch.look(self.token_logits(states)),
            prefix=self.prefix(vision, prompt=prompts),
            cache=cache,
            rule=rule,
            limits=limits,
            uniform=uniform,
        )
        watch.require_none()
        return generated

    def _decoder_class(self) -> type[FastDecoder] | None:
        """Return what decodes in the model's place, if anything; refuse what it cannot read."""
        reads = (self.fast or self.compiled) and supports(self.text_model)
        if self.compiled and not reads:
            raise ValueError(
                f"{self.name}: its language model cannot be compiled here (it is in four bits, or "
                f"none of {', '.join(READ_FAMILIES)}): leave compiled, or --compile, out"
            )
        if not reads:
            return None
        return CompiledDecoder if self.compiled else FastDecoder

    def _text_pass(self, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
        embeddings = tokens if tokens.is_floating_point() else self.embed(tokens)
        return self.run_text(embeddings, mask, positions, cache)

    def _search(
        self, vision: VisionBatch, prompts: list[str], rule: Beam, limits: TokenLimits
    ) -> Int[Tensor, "b t"]:
        """Search by beam with transformers' own `generate`, from the cached features."""
        inputs = self.transformers_inputs(vision, prompt=prompts)
        options = rule.generate_options() | {
            "eos_token_id": list(limits.eos),
            "pad_token_id": limits.pad,
            "suppress_tokens": list(limits.suppressed),
            "repetition_penalty": 1.0,  # checkpoints bring their own
        }
        barred = set(limits.banned_first)
        if limits.only_first:
            barred |= set(range(len(self.embedding_table))) - set(limits.only_first)
        if barred:
            options["begin_suppress_tokens"] = sorted(barred)
        watch = OverflowWatch(self.name, self.embedding_table.dtype)
        generated = self.base.generate(**inputs, **options, logits_processor=[watch])
        watch.require_none()
        return generated[:, inputs["input_ids"].shape[1] :]

    def transformers_inputs(self, vision: VisionBatch, *, prompt: Prompt = None) -> dict[str, Any]:
        """Return what transformers' own `forward` and `generate` take in the place of pixels."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        ids, mask = self.prompt_batch(vision, prompt=prompt)
        cached = [each.to(self.embedding_table) for each in vision.image_embeddings]
        image = BaseModelOutputWithPooling(pooler_output=cached)
        return {
            "input_ids": ids,
            "attention_mask": mask.long(),
            "mm_encoder_outputs": {"image": image},
        }


def top_p_logits(logits: Logits, top_p: float) -> Logits:
    """Keep the fewest tokens that together contain `top_p` of the mass; the rest become -inf.

    Source: Holtzman et al. 2020, section 3.1. The likeliest token always stays.

    >>> top_p_logits(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.6).isfinite().tolist()
    [[True, True, False]]
    """
    if top_p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    mass = ordered.softmax(dim=-1)
    before = mass.cumsum(dim=-1) - mass
    dropped = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(dropped, float("-inf"))


def draw(logits: Logits, uniform: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Turn one number in [0, 1) a row into a token: the first whose cumulative mass exceeds it.

    >>> draw(torch.tensor([[0.2, 0.5, 0.3]]).log().expand(3, 3), torch.tensor([0.1, 0.3, 0.9]))
    tensor([0, 1, 2])
    """
    mass = logits.double().softmax(dim=-1).cumsum(dim=-1)
    wanted = uniform.to(mass).unsqueeze(-1) * mass[:, -1:]
    return torch.searchsorted(mass, wanted, right=True).squeeze(-1).clamp_max(logits.shape[-1] - 1)


def uniform_numbers(
    rows: int, rule: Greedy | Sample, generator: torch.Generator | None
) -> Float[Tensor, "b t"]:
    """Draw the numbers that sampling will use; greedy decoding uses none of them."""
    if isinstance(rule, Greedy):
        return torch.zeros(rows, rule.max_tokens, dtype=torch.float64)
    if generator is None:
        raise ValueError(
            "sampling needs randomness: got generator=None. Pass generator=seeded(0) of "
            "vizer_core.runtime."
        )
    return torch.rand(rows, rule.max_tokens, generator=generator, dtype=torch.float64)


def skip_draws(rows: int, rule: Decoding, generator: torch.Generator | None) -> None:
    """Move the generator past the numbers of `rows` captions that another process generates."""
    if rows and not isinstance(rule, Beam):
        uniform_numbers(rows, rule, generator)


@torch.no_grad()
def generate_ids(
    text_pass: TextPass,
    head: Callable[[Tensor], Tensor],
    *,
    prefix: Prefix,
    cache: Any,
    rule: Greedy | Sample,
    limits: TokenLimits,
    uniform: Float[Tensor, "rows t"],
) -> Int[Tensor, "rows generated"]:
    """Generate captions after `prefix`; several rows of `uniform` an image share its prefill.

    `text_pass(tokens_or_embeddings, mask, positions, cache)` returns states, `head` maps states to
    logits. Rows keep `limits.pad` after their first EOS; once half of a batch has ended, the rest
    goes on as a smaller batch.
    """
    samples = uniform.shape[0] // prefix.mask.shape[0]
    logits = head(text_pass(prefix.embeddings, prefix.mask, prefix.positions, cache)[:, -1])
    positions = prefix.next_positions(rule.max_tokens).repeat_interleave(samples, dim=0)
    mask = prefix.mask.repeat_interleave(samples, dim=0)
    logits = logits.repeat_interleave(samples, dim=0)
    if samples > 1:
        cache.batch_repeat_interleave(samples)
    numbers = uniform.to(logits.device)
    eos = torch.tensor(limits.eos, device=logits.device)
    suppressed = torch.tensor(limits.suppressed, dtype=torch.long, device=logits.device)
    generated = torch.full(uniform.shape, limits.pad, dtype=torch.long, device=logits.device)
    rows = torch.arange(len(generated), device=logits.device)  # those still in the batch
    done = torch.zeros_like(rows, dtype=torch.bool)
    for step in range(rule.max_tokens):
        limited = logits.float().index_fill_(1, suppressed, float("-inf"))
        if step == 0:
            limited = _limit_first(limited, limits)
        chosen = _choose(limited, rule, numbers[rows, step]).masked_fill(done, limits.pad)
        generated[rows, step] = chosen
        done = done | torch.isin(chosen, eos)
        last = step == rule.max_tokens - 1
        going = int((~done).sum()) if last or (step + 1) % limits.look_every == 0 else len(rows)
        if going == 0 or last:
            return generated[:, : step + 1]
        if limits.shrinks and 2 * going <= len(rows):
            kept = (~done).nonzero().squeeze(1)
            cache.batch_select_indices(kept)
            rows, done, chosen, mask = rows[kept], done[kept], chosen[kept], mask[kept]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        now = positions[rows, step : step + 1]
        logits = head(text_pass(chosen[:, None], mask, now, cache)[:, -1])
    return generated


def _limit_first(logits: Tensor, limits: TokenLimits) -> Tensor:
    """Rule out tokens that may not come first."""
    if limits.only_first:
        allowed = torch.tensor(limits.only_first, device=logits.device)
        kept = torch.full_like(logits, float("-inf"))
        logits = kept.index_copy(1, allowed, logits.index_select(1, allowed))
    if limits.banned_first:
        logits[:, list(limits.banned_first)] = float("-inf")
    return logits


def _choose(logits: Tensor, rule: Greedy | Sample, numbers: Tensor) -> Tensor:
    if isinstance(rule, Greedy):
        return logits.argmax(dim=-1)
    return draw(top_p_logits(logits / rule.temperature, rule.top_p), numbers)
