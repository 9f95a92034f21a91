"""Which station of a vision-language model a module belongs to, in the words of the book.

Both families name their parts in their own way:

===============  =====================  ========================
station          Idefics3, SmolVLM      Qwen2-VL, Qwen2.5-VL
===============  =====================  ========================
vision tower     `vision_model`         `visual`
connector        `connector`            `visual.merger`
language model   `text_model`           `language_model`
head             `lm_head`              `lm_head`
===============  =====================  ========================
"""

from __future__ import annotations

STATIONS = ("vision tower", "connector", "language model", "head")
STEMS = {  # in the order of asking: Qwen's merger lies inside its tower
    "head": ("lm_head",),
    "connector": ("connector", "visual.merger"),
    "vision tower": ("vision_model", "visual"),
    "language model": ("text_model", "language_model"),
}


def station_of(name: str) -> str:
    """Return the station of a module or weight, by its name in `named_modules`.

    >>> station_of("model.text_model.layers.0.self_attn.q_proj.weight")
    'language model'
    >>> station_of("model.visual.merger.mlp.0")
    'connector'
    """
    for station, stems in STEMS.items():
        if any(f".{stem}." in f".{name}." for stem in stems):
            return station
    raise ValueError(
        f"{name!r} belongs to no station: wanted a name with one of "
        f"{', '.join(stem for stems in STEMS.values() for stem in stems)}"
    )
