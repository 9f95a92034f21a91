"""All shipped models of every kind, in the order in which they can be built from nothing."""

from __future__ import annotations

from vizer_lab.zoo.adapters import ADAPTERS
from vizer_lab.zoo.captioners import CAPTIONERS
from vizer_lab.zoo.clips import CLIPS
from vizer_lab.zoo.language_models import LANGUAGE_MODELS
from vizer_lab.zoo.shipped_model import ShippedModel, by_name, named
from vizer_lab.zoo.vlms import VLMS

# each stands on those above it: a captioner on a CLIP and a language model, an adapter on a VLM
MODELS: dict[str, ShippedModel] = by_name(
    *CLIPS.values(),
    *LANGUAGE_MODELS.values(),
    *VLMS.values(),
    *CAPTIONERS.values(),
    *ADAPTERS.values(),
)


def shipped_model(name: str) -> ShippedModel:
    """Return a shipped model by its name.

    Raises `ValueError` that lists the names there are.

    >>> shipped_model("drawn-lm").kind
    'language_model'
    """
    return named(MODELS, name)
