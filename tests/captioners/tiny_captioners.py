"""Every captioner on tiny random models that share their words: plumbing at no cost."""

from __future__ import annotations

from functools import cache

import torch
from tiny_clip import WORDS, noise_images, tiny_encoder

from vizer_core.captioners import (
    Baseline,
    Blind,
    CapDec,
    Captioner,
    ClipCap,
    ClipRe,
    Concepts,
    DeCap,
    GlobalTokens,
    MacCap,
    Magic,
    MeanShift,
    MemoryBank,
    OracleText,
    RegionTokens,
    SampledMacCap,
    Socratic,
    ZeroCap,
)
from vizer_core.captioners.magic import MagicConfig
from vizer_core.captioners.socratic import NotesPrompt, TagPrefix, WordList
from vizer_core.captioners.zerocap import ZeroCapConfig
from vizer_core.clip import ImageStates, PairedFeatures
from vizer_core.decoding import Greedy, Sample
from vizer_core.language import CausalLM
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    GaussianNoise,
    NoNoise,
    PrefixConfig,
    PrefixDecoder,
    PrefixGenerator,
    SingleTokenMLP,
)
from vizer_core.textonly.prefix_network import MLPConfig

IMAGES = 5
CLIP_WIDTH, LM_WIDTH = 16, 16
SPECIAL = ("<pad>", "<start>", "<end>")


@cache
def tiny_lm(seed: int = 0) -> CausalLM:
    """A random OPT that knows the tiny CLIP's words, with weights large enough to disagree."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<start>", eos_token="<end>", pad_token="<pad>",
        unk_token="<pad>",
    )  # fmt: skip
    config = OPTConfig(
        vocab_size=len(vocabulary), hidden_size=LM_WIDTH, word_embed_proj_dim=LM_WIDTH, ffn_dim=32,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=48, dropout=0.0,
        init_std=0.4, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = OPTForCausalLM(config)
    return CausalLM.from_model(model, tokenizer, "tiny-opt")


@cache
def encoder():
    return tiny_encoder()


@cache
def states() -> ImageStates:
    return encoder().image_states(noise_images(IMAGES))


def prefix_generator(*, single: bool = False, clip_width: int = CLIP_WIDTH) -> PrefixGenerator:
    """A random prefix network before the tiny language model, greedy."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if single:
            prefix_network = SingleTokenMLP(MLPConfig(clip_width, LM_WIDTH))
        else:
            sizes = PrefixConfig(clip_width, LM_WIDTH, queries=2, heads=2, feedforward=16)
            prefix_network = PrefixDecoder(sizes)
            prefix_network.layer.multihead_attn.out_proj.weight.data.mul_(5)
    prefix_network.eval().requires_grad_(False)
    if clip_width == CLIP_WIDTH:  # so that another image is another caption
        prefix_network.standardise_on(states().image_features[:, None])
    prefix_network.mlp[-1].weight.mul_(20)
    return PrefixGenerator(prefix_network, tiny_lm(), Greedy(6))


@cache
def memory() -> MemoryBank:
    texts = [f"{WORDS[i]} {WORDS[(5 * i + 1) % 30]}" for i in range(25)]
    return MemoryBank.from_captions(encoder(), texts, generator=seeded(0))


@cache
def references() -> PairedFeatures:
    texts = [f"{WORDS[i]} {WORDS[i + 7]} {WORDS[i + 1]}" for i in range(IMAGES)]
    return PairedFeatures(
        ids=tuple(f"image-{i}" for i in range(IMAGES)),
        image_features=states().image_features,
        text_features=encoder().encode_text(texts),
        image_index=torch.arange(IMAGES),
    )


def word_lists() -> tuple[WordList, ...]:
    return (
        WordList.from_template("objects", WORDS[:12], "w30 {}", top=3),
        WordList.from_template("place", WORDS[12:18], "w31 {}"),
    )


MAGIC = MagicConfig(candidates=4, max_tokens=5)
ZEROCAP = ZeroCapConfig(steps=2, candidates=6, beams=2, max_tokens=4)


@cache
def all_captioners() -> dict[str, Captioner]:
    """Return one of each, by name."""
    noisy, quiet = GaussianNoise(0.05), NoNoise()
    maccap = MacCap(prefix_generator(), RegionTokens(count=3), noisy)
    gap = references().text_features.mean(0) - states().image_features.mean(0)
    systems: list[Captioner] = [
        maccap,
        MacCap(prefix_generator(), RegionTokens(count=3), quiet, name="maccap_quiet"),
        MacCap(prefix_generator(), GlobalTokens(3), noisy, name="maccap_global"),
        SampledMacCap(maccap, encoder(), samples=3),
        Baseline(prefix_generator(single=True)),
        CapDec(prefix_generator()),
        DeCap(prefix_generator(), memory()),
        Concepts(prefix_generator(), memory(), k=3),
        ClipCap(prefix_generator(single=True)),
        ClipRe(memory()),
        MeanShift(Baseline(prefix_generator()), gap),
        Blind.mean_of(Baseline(prefix_generator()), references().text_features),
        OracleText(Baseline(prefix_generator()), references()),
        Magic(tiny_lm(), encoder(), MAGIC),
        ZeroCap(tiny_lm(), encoder(), ZEROCAP, prompt="w1 w2"),
        Socratic(encoder(), tiny_lm(), word_lists(), TagPrefix(), 1, Greedy(5)),
        Socratic(
            encoder(), tiny_lm(), word_lists(), NotesPrompt("w1", "w2"), 3,
            Sample(max_tokens=5), name="socratic_notes",
        ),
    ]  # fmt: skip
    return {system.name: system for system in systems}


DRAWING = ("maccap", "maccap_global", "maccap_sampled", "socratic_notes")


def broken_lm():
    """Return a language model of which one weight is no number, as after an overflow."""
    lm = tiny_lm.__wrapped__()  # a fresh one: the others are shared
    with torch.no_grad():
        lm.model.get_output_embeddings().weight[3] = float("nan")
    return lm
