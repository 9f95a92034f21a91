"""MacCap and its baselines behind one interface: images' states or features in, captions out.

- `protocol`: `Captioner`, the interface; `caption_images`: from images to captions
- `registry`: the captioners that have a name in the commands, and how each is made

==================  =====================  ====================  =================================
system              trained on             noise is drawn in     reads, beside the image's feature
==================  =====================  ====================  =================================
`MacCap`            texts                  training, captioning  sub-regions (patches)
`SampledMacCap`     texts                  training, captioning  sub-regions; CLIP picks one of 20
`Baseline`          texts                  nothing
`CapDec`            texts                  training
`DeCap`             texts                  nothing               a memory of captions
`ClipRe`            nothing                nothing               a memory of captions, word for word
`Magic`             nothing                nothing               CLIP votes on every word
`ZeroCap`           nothing                nothing               gradient steps on the LM's memory
`Socratic`          nothing                captioning            CLIP names, an LM writes
`ClipCap`           images with captions   nothing
`OracleText`        as the inner one       nothing               a reference's text feature (bound)
`MeanShift`         as the inner one       nothing               the mean gap (control)
`Blind`             as the inner one       nothing               one constant for all (control)
==================  =====================  ====================  =================================

`Baseline`, `CapDec` and `ClipCap` are in `single_token`, the last three rows in `controls`,
`MemoryBank` in `memory_bank`. Names are imported when they are asked for: the registry is read
without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizer_core.captioners.clipre import ClipRe as ClipRe
    from vizer_core.captioners.controls import Blind as Blind
    from vizer_core.captioners.controls import MeanShift as MeanShift
    from vizer_core.captioners.controls import OracleText as OracleText
    from vizer_core.captioners.decap import DeCap as DeCap
    from vizer_core.captioners.maccap import GlobalTokens as GlobalTokens
    from vizer_core.captioners.maccap import MacCap as MacCap
    from vizer_core.captioners.maccap import RegionTokens as RegionTokens
    from vizer_core.captioners.maccap import SampledMacCap as SampledMacCap
    from vizer_core.captioners.magic import Magic as Magic
    from vizer_core.captioners.magic import MagicConfig as MagicConfig
    from vizer_core.captioners.memory_bank import MemoryBank as MemoryBank
    from vizer_core.captioners.protocol import Captioner as Captioner
    from vizer_core.captioners.protocol import caption_images as caption_images
    from vizer_core.captioners.single_token import Baseline as Baseline
    from vizer_core.captioners.single_token import CapDec as CapDec
    from vizer_core.captioners.single_token import ClipCap as ClipCap
    from vizer_core.captioners.socratic import Socratic as Socratic
    from vizer_core.captioners.socratic import WordList as WordList
    from vizer_core.captioners.zerocap import ZeroCap as ZeroCap

_HOME = {
    "Baseline": "single_token",
    "Blind": "controls",
    "CapDec": "single_token",
    "Captioner": "protocol",
    "ClipCap": "single_token",
    "ClipRe": "clipre",
    "DeCap": "decap",
    "GlobalTokens": "maccap",
    "MacCap": "maccap",
    "Magic": "magic",
    "MagicConfig": "magic",
    "MeanShift": "controls",
    "MemoryBank": "memory_bank",
    "OracleText": "controls",
    "RegionTokens": "maccap",
    "SampledMacCap": "maccap",
    "Socratic": "socratic",
    "WordList": "socratic",
    "ZeroCap": "zerocap",
    "caption_images": "protocol",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a name of this folder when it is asked for, and keep it."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the names that are exported beside what is imported already."""
    return sorted({*globals(), *__all__})
