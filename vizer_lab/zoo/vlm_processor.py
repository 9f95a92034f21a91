"""The drawn VLM's processor, built without a network: words to ids, images to pixel values.

The vocabulary is the drawn world's, then the words that only web captions use, then Idefics3's
own marks. An image becomes `<start><fake_token_around_image><global-img><image>*16
<fake_token_around_image>`, as SmolVLM writes an image that is not split into tiles.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from vizer_core.runtime import require
from vizer_lab.world.settings import IMAGE_SIZE
from vizer_lab.zoo.tokenizer import END, PAD, START, UNKNOWN, vocabulary

if TYPE_CHECKING:
    from transformers import (
        Idefics3Processor,
        PreTrainedTokenizerBase,
        PreTrainedTokenizerFast,
    )

FAKE, IMAGE, TURN_END, GLOBAL = (
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
    "<global-img>",
)
PROMPT = f"{START}{IMAGE}"
PERSON = "<person>"
WEB_WORDS = """
    itap while walking home from work last weekend stock image untitled my favourite new wallpaper
    free download 2008 2011 for sale best price day week random album cover came out great first
    try desktop uploaded by just today ever wow cute beautiful hd vintage clipart vector icon
    sticker thumbnail throwback monday no caption needed may contain lol dsc look at these love
""".split()  # noqa: SIM905
WORD_PATTERN = rf"{PERSON}|[a-z0-9]+(?:-[a-z0-9]+)*|[,.!?:]"


@cache
def vlm_vocabulary(world: str = "second") -> tuple[str, ...]:
    """Return the words by id: a drawn world's, web, Idefics3's marks.

    >>> vlm_vocabulary()[-4:]
    ('<fake_token_around_image>', '<image>', '<end_of_utterance>', '<global-img>')
    """
    known = vocabulary(world)
    web = (PERSON, *(word for word in dict.fromkeys(WEB_WORDS) if word not in known))
    return (*known, *web, FAKE, IMAGE, TURN_END, GLOBAL)


def drawn_vlm_tokenizer(world: str = "second") -> PreTrainedTokenizerFast:
    """Build the word-level tokenizer; it adds no mark by itself."""
    transformers = require("transformers", why="the drawn VLM")
    tokenizers = require("tokenizers", why="the drawn VLM")
    words = {word: i for i, word in enumerate(vlm_vocabulary(world))}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=UNKNOWN))
    core.normalizer = tokenizers.normalizers.Lowercase()
    core.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(WORD_PATTERN), "removed", invert=True
    )
    core.decoder = tokenizers.decoders.WordPiece(prefix="##", cleanup=True)  # plain marks
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=[FAKE, IMAGE, TURN_END, GLOBAL],
        model_max_length=96,
        clean_up_tokenization_spaces=False,
    )


def drawn_vlm_processor(
    image_tokens: int = 16, size: int = IMAGE_SIZE, *, world: str = "second"
) -> Idefics3Processor:
    """Build an `Idefics3Processor` for images of `size` px, unsplit."""
    return processor_of(drawn_vlm_tokenizer(world), image_tokens, size)


def processor_of(
    tokenizer: PreTrainedTokenizerBase, image_tokens: int, size: int
) -> Idefics3Processor:
    """Build an `Idefics3Processor` of any tokenizer that has Idefics3's marks."""
    transformers = require("transformers", why="the drawn VLM")
    images = transformers.Idefics3ImageProcessor(
        size={"longest_edge": size},
        max_image_size={"longest_edge": size},
        do_image_splitting=False,
    )
    return transformers.Idefics3Processor(images, tokenizer, image_seq_len=image_tokens)
