"""What an encoder of open_clip's list needs before it can be loaded: from its configuration alone.

`load_clip` takes any name that open_clip lists. Some of them want more than weights: a tokenizer or
a whole text tower from the hub, or a vision tower that timm builds. None is loaded here, nothing is
fetched, and no weight is made.

>>> needs = encoder_needs("ViT-B-32")
>>> needs.image_size, needs.dimension, needs.context, needs.wants
(224, 512, 77, ())
>>> encoder_needs("MobileCLIP2-S0").wants
('timm',)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vizer_core.clip.loading import model_config

PAPERS_ENCODERS = (  # those of the field, and the ones that they are compared with
    *("ViT-B-32", "MobileCLIP2-S0", "MobileCLIP2-S4", "coca_ViT-B-32"),
    *("ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "roberta-ViT-B-32"),
)


@dataclass(frozen=True)
class EncoderNeeds:
    """An encoder of open_clip's list: its sizes, its published weights, and what it asks for.

    `wants` may have `timm`, a vision tower of that package; `hub tokenizer` and `hub text tower`,
    which come from the hub beside the weights; and `text decoder`, a third tower that captions
    with (CoCa) and that encoding never reads.
    """

    name: str
    image_size: int
    dimension: int  # of the shared space
    context: int | None  # tokens of a text; None where the hub's text tower decides
    tags: tuple[str, ...]  # published weights
    wants: tuple[str, ...]

    @property
    def identifier(self) -> str:
        """What `load_clip` takes: the name with its first published tag, or the name alone."""
        return f"{self.name}/{self.tags[0]}" if self.tags else self.name


def encoder_needs(name: str) -> EncoderNeeds:
    """Read what a named encoder needs; an unknown name raises `ValueError` with near ones.

    >>> encoder_needs("coca_ViT-B-32").wants
    ('text decoder',)
    """
    import open_clip

    config = model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    asks = {
        "timm": "timm_model_name" in vision,
        "hub text tower": "hf_model_name" in text,
        "hub tokenizer": "hf_tokenizer_name" in text,
        "text decoder": "multimodal_cfg" in config,
    }
    hub_text = asks["hub text tower"]
    return EncoderNeeds(
        name=name,
        image_size=int(vision.get("image_size", 224)),
        dimension=int(config["embed_dim"]),
        context=None if hub_text else int(text.get("context_length", 77)),
        tags=tuple(open_clip.list_pretrained_tags_by_model(name)),
        wants=tuple(what for what, asked in asks.items() if asked),
    )


def needs_table(names: Sequence[str] = PAPERS_ENCODERS) -> list[dict[str, str]]:
    """Return a row per encoder, in words.

    >>> needs_table(["ViT-B-16-SigLIP"])[0]["needs"]
    'timm, hub tokenizer'
    """
    rows = []
    for needs in map(encoder_needs, names):
        rows.append(
            {
                "encoder": needs.identifier,
                "image": f"{needs.image_size} px",
                "dimension": str(needs.dimension),
                "tokens": "its own" if needs.context is None else str(needs.context),
                "published weights": str(len(needs.tags)),
                "needs": ", ".join(needs.wants) or "its weights alone",
            }
        )
    return rows
