"""Caption metrics, one a file: pure functions over hypotheses and references or over features.

- `tokenize`, `ptb_java`: the words that COCO's tools see; in Python, and by the original program
- `ngrams`: captions as sorted integer arrays, for `bleu` and `cider`
- `bleu`, `rouge`, `cider`, `meteor` (with `paraphrases`): agreement with reference captions
- `spice`, `scene_graph`: the same by objects, attributes and relations
- `clipscore`, `self_retrieval`: agreement with the image, from features; `bertscore`: with
  references, from token vectors
- `grounding` (with `caption_parser`): what a caption says against what a made scene holds
- `diversity`: lengths, words, repetition, novelty
- `references`: captions checked, matched by image, tokenised once
- `scorers`: each metric as sufficient statistics and a signature, for `vizer_core.evaluation`
- `stats`: intervals, paired tests, seeds, Holm; `selection`: what chance finds among many settings
- `availability`: Java, and jars inside packages
"""
