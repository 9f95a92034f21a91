"""The options that `vizer train-captioner` and `vizer caption` share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MICRO_CORPORA = ("micro-home", "micro-away")
SAME_DECODER = "_same_decoder"  # CapDec and DeCap with MacCap's trained part
TRAININGS = ("maccap", "capdec", "decap", "capdec_same_decoder", "decap_same_decoder")
TRAINING_OF = {"maccap": "maccap", "capdec": "capdec", "decap": "decap", "maccap_pass": "maccap",
               "baseline": "decap"}  # fmt: skip


def trainings_for(method: str) -> tuple[str, ...]:
    """Return the trainings whose files a method of `vizer caption` reads, the paper's first.

    >>> trainings_for("baseline"), trainings_for("maccap_pass")
    (('decap', 'decap_same_decoder'), ('maccap',))
    """
    names = (TRAINING_OF[method], TRAINING_OF[method] + SAME_DECODER)
    return tuple(name for name in names if name in TRAININGS)


Clip = Annotated[
    str, typer.Option("--clip", help="open_clip's name of a CLIP, its folder, or 'micro'.")
]
Pretrained = Annotated[
    str | None, typer.Option(help="A tag, such as openai, or a .safetensors or .pt file.")
]
QuickGelu = Annotated[
    bool, typer.Option("--quick-gelu", help="For a file that descends from OpenAI's weights.")
]
LanguageModel = Annotated[str, typer.Option(help="A causal LM: hub id, folder, or 'micro-lm'.")]
Corpus = Annotated[
    str,
    typer.Option(
        help="Captions, one a line, or a JSON list; COCO's, Flickr's or CC3M's file; a table with "
        "a header; 'micro-home' or 'micro-away'."
    ),
]


CaptionerFile = Annotated[
    Path | None,
    typer.Option(
        help="Trained file for --method, from vizer train-captioner. Default on the micro models: "
        "the shipped one, for capdec and decap with maccap's decoder."
    ),
]
FormerName = Annotated[Path | None, typer.Option(hidden=True)]


def captioner_file(captioner: Path | None, adaptor: Path | None) -> Path | None:
    """Return what --captioner names; --adaptor is what the option was called before."""
    if captioner is not None and adaptor is not None:
        raise typer.BadParameter("--adaptor is another name of --captioner: give one of them")
    return captioner if adaptor is None else adaptor


def corpus_of(name: str, limit: int) -> Any:
    """Read a corpus of captions, at most `limit` of them."""
    from vizer_core.data.corpus import read_corpus
    from vizer_core.micro.corpora import micro_corpus
    from vizer_core.runtime import seeded

    if name in MICRO_CORPORA:
        return micro_corpus(name.removeprefix("micro-"), limit)
    corpus = read_corpus(Path(name)).deduplicate()
    return corpus if len(corpus) <= limit else corpus.sample(limit, generator=seeded(0))


def require_corpus(name: str) -> None:
    """Raise `FileNotFoundError` if there is no such corpus, before a model is loaded."""
    if name not in MICRO_CORPORA and not Path(name).is_file():
        raise FileNotFoundError(
            f"no corpus at {name}: wanted a file of captions, or {' or '.join(MICRO_CORPORA)}"
        )
