"""Caption metrics, one a file: pure functions over hypotheses and references or over features.

- `tokenize`, `ptb_java`: the words that COCO's tools see; in Python, and by the original program
- `ngrams`: captions as sorted integer arrays, for `bleu` and `cider`
- `bleu`, `rouge`, `cider`, `meteor` (with `paraphrases`): agreement with reference captions
- `spice`, `scene_graph`: the same by objects, attributes and relations
- `clipscore`, `self_retrieval`: agreement with the image, from features; `bertscore`: with
  references, from token vectors
- `grounding` (with `caption_parser`): what a caption says against what a made scene contains
- `diversity`: lengths, words, repetition; `vendi`: how many different things features show
- `references`: captions checked, matched by image, tokenised once
- `scorers`: each metric as sufficient statistics and a signature, for `vizer_core.evaluation`
- `stats`: intervals, paired tests, seeds, Holm; `selection`: what chance finds among many settings
- `availability`: Java, and jars inside packages
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_core.metrics.selection import chance_findings as chance_findings
    from vizer_core.metrics.selection import choose_best as choose_best
    from vizer_core.metrics.selection import seed_noise as seed_noise
    from vizer_core.metrics.stats import Interval as Interval
    from vizer_core.metrics.stats import bootstrap as bootstrap
    from vizer_core.metrics.stats import bootstrap_seeds as bootstrap_seeds
    from vizer_core.metrics.stats import holm as holm
    from vizer_core.metrics.stats import mean_statistics as mean_statistics
    from vizer_core.metrics.stats import paired_bootstrap as paired_bootstrap
    from vizer_core.metrics.stats import rank_correlation as rank_correlation
    from vizer_core.metrics.stats import rate_statistics as rate_statistics

_HOME = {
    "vizer_core.metrics.selection": ("chance_findings", "choose_best", "seed_noise"),
    "vizer_core.metrics.stats": (
        "Interval",
        "bootstrap",
        "bootstrap_seeds",
        "holm",
        "mean_statistics",
        "paired_bootstrap",
        "rank_correlation",
        "rate_statistics",
    ),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
