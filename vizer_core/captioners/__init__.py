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
`Concepts`          texts                  nothing               the concepts that CLIP finds
`Magic`             nothing                nothing               CLIP votes on every word
`ZeroCap`           nothing                nothing               gradient steps on the LM's memory
`Socratic`          nothing                captioning            CLIP names, an LM generates
`ClipCap`           images with captions   nothing
`OracleText`        as the inner one       nothing               a reference's text feature (bound)
`MeanShift`         as the inner one       nothing               the mean gap (control)
`Blind`             as the inner one       nothing               one constant for all (control)
==================  =====================  ====================  =================================

`Baseline`, `CapDec` and `ClipCap` are in `single_token`, the last three rows in `controls`,
`MemoryBank` in `memory_bank`. The registry is read without torch.
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_core.captioners.clipre import ClipRe as ClipRe
    from vizer_core.captioners.concepts import Concepts as Concepts
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
    "vizer_core.captioners.clipre": ("ClipRe",),
    "vizer_core.captioners.concepts": ("Concepts",),
    "vizer_core.captioners.controls": ("Blind", "MeanShift", "OracleText"),
    "vizer_core.captioners.decap": ("DeCap",),
    "vizer_core.captioners.maccap": ("GlobalTokens", "MacCap", "RegionTokens", "SampledMacCap"),
    "vizer_core.captioners.magic": ("Magic", "MagicConfig"),
    "vizer_core.captioners.memory_bank": ("MemoryBank",),
    "vizer_core.captioners.protocol": ("Captioner", "caption_images"),
    "vizer_core.captioners.single_token": ("Baseline", "CapDec", "ClipCap"),
    "vizer_core.captioners.socratic": ("Socratic", "WordList"),
    "vizer_core.captioners.zerocap": ("ZeroCap",),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
