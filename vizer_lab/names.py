"""What readers call the things that code has short names for: systems, metrics, edits, settings.

Results files and functions name things by words that code can use (`maccap_pass_random`). Tables,
figures and pages show `in_words` of them: the name here, or else the short name in plain words. A
name of several parts is read part by part: `coco_share_of_fall:shuffled_words`, `vqa:maccap`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

WORDS: Mapping[str, str] = MappingProxyType({
    # captioners
    "oracle_text": "its caption's own feature",
    "clipcap": "ClipCap, trained on pairs",
    "clipcap_mlp": "ClipCap, one prefix position",
    "clipre": "CLIPRe",
    "socratic": "Socratic Models",
    "magic": "MAGIC",
    "zerocap": "ZeroCap",
    "decap": "DeCap",
    "capdec": "CapDec",
    "baseline": "baseline: one token, no noise",
    "decap_mlp": "DeCap, one prefix position",
    "capdec_mlp": "CapDec, one prefix position",
    "baseline_mlp": "baseline, one prefix position",
    "maccap": "MacCap",
    "maccap_global": "MacCap, global feature",
    "maccap_pass": "MacCap, one pass",
    "maccap_pass_global": "MacCap, one pass, global",
    "maccap_pass_still": "MacCap, one pass, no noise at test",
    "maccap_pass_global_still": "MacCap, one pass, global, no noise at test",
    "maccap_pass_global_shifted": "MacCap, one pass, global, mean gap out",
    "maccap_pass_release": "MacCap, one pass, regions of the release",
    "maccap_pass_mean": "MacCap, one pass, mean of all patches",
    "maccap_pass_counterfactual": "MacCap, one pass, counterfactual regions",
    "multi_clean": "MacCap, one pass, global, no noise",
    "multi_clean_regions": "MacCap, one pass, no noise",
    "maccap_pass_random": "MacCap, one pass, random patches",
    "maccap_pass_other_image": "MacCap, one pass, another's regions",
    "maccap_random": "MacCap, random patches",
    "maccap_global_shifted": "MacCap, global, mean gap out",
    "mean_shift": "baseline, mean gap out",
    "mean_shift_noise": "CapDec, mean gap out",
    "blind": "blind",
    # what answers questions
    "chance": "chance",
    "prior": "prior",
    "type_prior": "prior by type",
    "question_only": "question only",
    "maccap, borrowed": "MacCap, borrowed",
    "decap, borrowed": "DeCap, borrowed",
    "human, borrowed": "a person's, borrowed",
    "human": "a person's caption",
    "human_caption": "a person's caption",
    "people": "all captions by people",
    "vqa": "questions",
    # improvement without labels
    "base": "base",
    "base_banned": "base, generic word barred",
    "base_primed": "base, first word given",
    "primed": "base, first word given",
    "first_word": "first word",
    "beam": "beam search",
    "views_5": "first word, five views",
    "mbr": "minimum Bayes risk",
    "best_of_n_information": "best of eight by information",
    "diverse_beam": "diverse beams",
    "best": "the best trainer",
    "best_of_8_read_back": "best of 8 by read-back",
    "best_of_8_clip": "best of 8 by CLIP",
    "self_training": "own captions, greedy",
    "self_training_once": "own captions, greedy, one round",
    "beam_distillation": "own captions, beam",
    "beam_view_distillation": "own captions, beam of five views",
    "view_distillation": "own captions, greedy of five views",
    "raft": "RAFT",
    "dpo": "DPO",
    "information": "information",
    "self_retrieval": "self-retrieval",
    "clip_reward": "CLIP reward",
    "read_back": "read-back",
    "read_back_random_mapper": "read-back, random mapper",
    "read_back_gt": "read-back, mapper from people",
    "rl_clip": "CLIP reward",
    "rl_clip_cautious": "CLIP reward, small steps",
    "vizer_g": "ViZer_G",
    "vizer_gt": "ViZer_GT",
    "vizer_g_contrastive": "ViZer_G, contrastive",
    "vizer_gt_contrastive": "ViZer_GT, contrastive",
    # the field's ideas
    "bag_curriculum": "bag curriculum",
    "best_of_nine": "best candidate of nine",
    "caprl": "CapRL: answered questions",
    "checked": "agreement check",
    "clip_ranked": "ranked by CLIP",
    "close": "measured noise",
    "concepts": "concept prompts",
    "contrasted": "contrast check",
    "crops_fused": "crops, fused",
    "differences_rated": "differences, rated",
    "differences_spoken": "differences, spoken",
    "diverse": "diverse beams",
    "fused": "several captions, fused",
    "knowada": "KnowAda: known statements",
    "mocha": "MOCHa: two rewards",
    "pairs_noisy": "noisy pairs",
    "pairs_clean": "clean pairs",
    "pairs_filtered": "noisy pairs, filtered",
    "pairs_filtered_and_recaptioned": "noisy pairs, filtered and recaptioned",
    "pairs_paired_anew": "noisy pairs, paired anew",
    "pairs_random_half": "noisy pairs, a random half",
    "pairs_recaptioned": "noisy pairs, recaptioned",
    "towers_before": "CLIP before training on pairs",
    "questions_beam": "questions: beam search",
    "questions_no_caption": "questions: no caption",
    "questions_prompted": "questions: caption for the question",
    "regions_crop": "regions: cut out",
    "regions_whole": "regions: whole image",
    "sets_frequent": "sets: frequent statements",
    "sets_ranked": "sets: ranked statements",
    "verified": "propose and verify",
    # what the paper's sub-regions are compared with
    "small_lm": "small language model",
    "cls": "class token",
    "cls_scale5": "class token, logit scale 5",
    "cls_scale10": "class token, logit scale 10",
    "cls_scale50": "class token, logit scale 50",
    "cls_scale100": "class token, logit scale 100",
    "patch_mean": "mean of the patches",
    "trained_patches": "CLIP with trained patches",
    "large_gap": "CLIP with a larger gap",
    "other_texts": "texts of another domain",
    "other_images": "images of another domain",
    # edits of captions
    "another_image": "another image's caption",
    "another_writer": "another writer's caption",
    "more_true_detail": "more true detail",
    "coco": "COCO",
    "coco_preferred": "COCO, preferred to it",
    "coco_rank_with_cider": "COCO, rank correlation with CIDEr",
    "coco_share_of_fall": "COCO, share of the fall",
    "share_of_fall": "share of the fall",
    # metrics
    "bleu1": "BLEU-1",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "clipscore": "CLIPScore",
    "refclipscore": "RefCLIPScore",
    "bertscore_layer3": "BERTScore, layer 3",
    "bertscore_layer6": "BERTScore, layer 6",
    "self_retrieval_r1": "self-retrieval R@1",
    "recall_at_1": "R@1",
    "pictures_missing": "images missing",
    "top1": "top-1",
    "top5": "top-5",
    "top10": "top-10",
    "i2t_r1": "image to text, R@1",
    "i2t_r5": "image to text, R@5",
    "t2i_r1": "text to image, R@1",
    "t2i_r5": "text to image, R@5",
    "i2t_r1_closed": "image to text, R@1, gap closed",
    "t2i_r1_closed": "text to image, R@1, gap closed",
    "ks_raw": "KS distance, as it is",
    "ks_centred": "KS distance, centred",
    "ks_standardised": "KS distance, each dimension scaled",
    "ks_without_top2": "KS distance, without two dimensions",
    "kurtosis_raw": "kurtosis, as it is",
    "kurtosis_standardised": "kurtosis, each dimension scaled",
    "kurtosis_without_top2": "kurtosis, without two dimensions",
    "cone_image": "cone, images",
    "cone_text": "cone, texts",
    "cone_image_without_top2": "cone, images, without two dimensions",
    "cone_text_without_top2": "cone, texts, without two dimensions",
    "gap_norm_null": "gap norm, null",
    "separability_lda": "separability by LDA",
    "separability_held_out": "separability, held out",
    "share_low": "constant share, low",
    "share_high": "constant share, high",
    "top2_share": "share of two dimensions",
    "rho": "rank correlation",
    "kl": "nats per token",
    "f1": "F1",
    # settings
    "max_kl": "ceiling, nats per token",
    "lora_rank": "LoRA rank",
    "layer_norm": "layer norm",
    "fitted_and_fast": "better mapper, larger rate, passes",
    "fitted_control": "the same, images of others, passes",
    "mapper_captions": "mapper, captions",
    "mapper_passes": "mapper, passes",
    "mapper_width": "mapper, width",
})  # fmt: skip
# where one study means another thing by a short name
WORDS_OF: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "field": {"human": "captions by people", "baseline": "baseline", "base": "base"},
    "gap_real_clip": {"real": "CLIP ViT-B/16 on COCO"},
    "real_language_vlm": {
        "real": "SmolLM2-135M", "small_lm": "small language model", "another": "another image",
    },
    "questions_real_lm": {"real": "SmolLM2-135M", "drawn": "drawn-lm"},
    "text_only_real_lm": {"real": "SmolLM2-135M", "drawn": "drawn-lm"},
    "reconstruction_drawn": {
        "x0": "no noise", "x0.33": "a third of the matched noise", "x1": "the matched noise",
        "x3": "3 times the matched noise", "x10": "10 times the matched noise",
        "text": "from the text", "image": "from the image", "another": "from another image",
    },
    "reconstruction_real": {
        "0": "no noise", "0.008": "noise of variance 0.008", "0.032": "noise of variance 0.032",
        "text": "from the text", "another": "from another text",
    },
    "zero_shot_real_lm": {"none": "no prompt", "plain": "plain", "drawn": "drawn-lm"},
})  # fmt: skip
ENDS: Mapping[str, str] = MappingProxyType(
    {
        "|another": ", another image",
        "|blind": ", no image",
        "_shuffled": ", shuffled",
        "_views": ", five views",
    }
)
REGIONS_OF: Mapping[str, str] = MappingProxyType(
    {
        "paper": "the paper's regions",
        "release": "the release's regions",
        "counterfactual": "counterfactual regions",
    }
)
REGIONS = re.compile(
    r"(?P<of>paper|release|counterfactual)_(?P<what>global|mix)"
    r"(?:_(?P<control>another_image|mean_token|random_patches))?_(?P<which>gain|max|mean|min)"
)
PLAIN: Mapping[str, str] = MappingProxyType(
    {
        **{"f1": "F1", "r1": "R@1", "kl": "KL", "lda": "LDA", "mlp": "MLP", "lm": "LM"},
        **{"clip": "CLIP", "vqa": "VQA", "trl": "TRL", "kv": "KV", "mib": "MiB", "cider": "CIDEr"},
        **{"meteor": "METEOR", "cls": "class token", "top1": "top-1", "onednn": "oneDNN"},
        **{"256m": "256M", "magic": "MAGIC", "zerocap": "ZeroCap"},
    }
)
CODED = frozenset(
    (
        *("clipcap", "clipre", "zerocap", "decap", "capdec", "maccap", "dpo", "raft"),
        *("bleu1", "bleu4", "cider", "meteor", "clipscore", "refclipscore"),
    )
)
TOKEN = re.compile(r"(?<![\w/.`])[a-z]\w*(?:[:|][a-z]\w*)*(?:\.\d\w*)?(?![\w/`])")


def in_words(name: str, study: str = "") -> str:
    """Return what readers call a thing; `study` is its results file, where files differ.

    >>> in_words("cider"), in_words("maccap_pass_random"), in_words("vqa:maccap")
    ('CIDEr', 'MacCap, one pass, random patches', 'questions: MacCap')
    >>> in_words("dpo_shuffled_views"), in_words("real:decap|another", "text_only_real_lm")
    ('DPO, shuffled, five views', 'SmolLM2-135M: DeCap, another image')
    >>> in_words("peak_mib"), in_words("paper_mix_random_patches_gain")
    ('peak MiB', "the paper's regions, mix, random patches: gain")
    """
    words = {**WORDS, **WORDS_OF.get(study, {})}
    if name in words:
        return words[name]
    if ":" in name:
        return ": ".join(in_words(part, study) for part in name.split(":") if part)
    for end, said in ENDS.items():
        if name.endswith(end):
            return in_words(name.removesuffix(end), study) + said
    if found := REGIONS.fullmatch(name):
        parts = (REGIONS_OF[found["of"]], found["what"], found["control"])
        said = ", ".join(part.replace("_", " ") for part in parts if part)
        return f"{said}: {found['which']}"
    if name.startswith("towers_"):
        return f"CLIP trained on {in_words(name.replace('towers', 'pairs', 1), study)}"
    return " ".join(PLAIN.get(part, part) for part in name.split("_"))


def sentence_in_words(text: str, study: str = "") -> str:
    """Return a sentence with its short names in words: those with an underscore, and of `CODED`.

    >>> sentence_in_words("gate: clipcap - clipre: object_f1 of beam_distillation +0.1")
    'gate: ClipCap, trained on pairs - CLIPRe: object F1 of own captions, beam +0.1'
    >>> sentence_in_words("share_of_fall:more_true_detail bleu1 0.2; ViZer_G; x.json")
    'share of the fall: more true detail BLEU-1 0.2; ViZer_G; x.json'
    """

    def one(token: re.Match[str]) -> str:
        parts = re.split(r"[:|]", token[0])
        coded = "|" in token[0] or any(part in CODED or "_" in part for part in parts)
        return in_words(token[0], study) if coded else token[0]

    return TOKEN.sub(one, text)


def table_in_words(table: Any, study: str = "") -> Any:
    """Return a data frame with every name in words: of its index, its columns and its cells.

    A cell is read as `cell_in_words` does.

    >>> import pandas as pd
    >>> table_in_words(pd.DataFrame({"rouge_l": {"wrong_count": 0.5}}))
                 ROUGE-L
    wrong count      0.5
    """
    told = table.map(lambda cell: _cell(cell, study))
    for axis in ("index", "columns"):
        labels = getattr(told, axis)
        new = labels.map(lambda label: _label(label, study)) if len(labels) else labels
        new.names = [_cell(title, study) for title in labels.names]
        told = told.set_axis(new, axis=axis)
    return told


def cell_in_words(text: str, study: str = "") -> str:
    """Return a cell of a table in words if it is a short name, and else as it is.

    >>> cell_in_words("max_kl 0.1"), cell_in_words("two cats"), cell_in_words("views_5")
    ('ceiling, nats per token 0.1', 'two cats', 'first word, five views')
    >>> cell_in_words("human|another")
    "a person's caption, another image"
    """
    if text.partition("|")[0] in {*WORDS, *WORDS_OF.get(study, {})}:
        return in_words(text, study)
    return sentence_in_words(text, study)


def _cell(cell: object, study: str) -> object:
    return cell_in_words(cell, study) if isinstance(cell, str) else cell


def _label(label: object, study: str) -> object:
    if isinstance(label, tuple):
        return tuple(_cell(part, study) for part in label)
    return _cell(label, study)
