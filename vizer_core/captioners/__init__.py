"""MacCap and its baselines behind one interface: images' states or features in, captions out.

- `protocol`: `Captioner`, the interface; `caption_images`: from pictures to captions
- `maccap`: noisy mixtures of image and regions; `SampledMacCap` lets CLIP choose among samples
- `baseline`, `capdec`, `decap`, `clipcap` (on `single_token`): one feature, one prefix
- `memory_bank`: captions with features, DeCap's projection; `clipre`: the nearest caption
- `magic` (on `magic_scores`), `zerocap` (on `zerocap_steps`), `socratic` (on `socratic_words`):
  nothing is trained
- `oracle`, `mean_shift`, `blind`: the upper row and the controls, around another captioner
- `systems`: what each of them needs, and how the trained ones are trained, as data
"""

from vizer_core.captioners.baseline import Baseline
from vizer_core.captioners.blind import Blind
from vizer_core.captioners.capdec import CapDec
from vizer_core.captioners.caption_images import caption_images
from vizer_core.captioners.clipcap import ClipCap
from vizer_core.captioners.clipre import ClipRe
from vizer_core.captioners.decap import DeCap
from vizer_core.captioners.maccap import GlobalTokens, MacCap, RegionTokens, SampledMacCap
from vizer_core.captioners.magic import Magic, MagicConfig
from vizer_core.captioners.mean_shift import MeanShift
from vizer_core.captioners.memory_bank import MemoryBank
from vizer_core.captioners.oracle import OracleText
from vizer_core.captioners.protocol import Captioner
from vizer_core.captioners.socratic import Socratic
from vizer_core.captioners.socratic_words import WordList
from vizer_core.captioners.zerocap import ZeroCap

__all__ = [
    "Baseline",
    "Blind",
    "CapDec",
    "Captioner",
    "ClipCap",
    "ClipRe",
    "DeCap",
    "GlobalTokens",
    "MacCap",
    "Magic",
    "MagicConfig",
    "MeanShift",
    "MemoryBank",
    "OracleText",
    "RegionTokens",
    "SampledMacCap",
    "Socratic",
    "WordList",
    "ZeroCap",
    "caption_images",
]
