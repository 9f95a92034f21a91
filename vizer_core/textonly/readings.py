"""Where MacCap's text, its equations and its release part, and which name here is which.

24 places, numbered D1 to D24 through the book. `paper` and `release` say what each has, `ours`
what this package does by default, `names` where both can be found (dotted, below `vizer_core`). A
reading that is about a printed number only has no name.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_IN_RELEASE = "not part of the release"


@dataclass(frozen=True)
class Reading:
    """One place where a reader has to choose."""

    id: str
    what: str
    paper: str
    release: str
    ours: str
    names: tuple[str, ...] = ()


READINGS: tuple[Reading, ...] = (
    Reading(
        "D1",
        "the noise's law",
        "uniform in the words of section 4.2, N(0, sigma^2) in equation 4",
        "Gaussian",
        "Gaussian; uniform beside it",
        ("textonly.noise.GaussianNoise", "textonly.noise.UniformNoise"),
    ),
    Reading(
        "D2",
        "what .016 is",
        "sigma is a variance in the words and a standard deviation in equation 4",
        "a variance: the deviation is .1265",
        "a variance, in the argument's name",
        ("textonly.noise.MACCAP_VARIANCE",),
    ),
    Reading(
        "D3",
        "global feature and sub-region",
        "averaged in the words of section 4.3, added in equation 13",
        "added",
        "added; the average beside it, which differs once noise is added",
        ("textonly.inference.sum_mix", "textonly.inference.average_mix"),
    ),
    Reading(
        "D4",
        "weights of a sub-region",
        "the row of attention A",
        "softmax of that row once more, nearly uniform",
        "the row of A; the release's beside it",
        ("clip.regions.regions_paper", "clip.regions.regions_release"),
    ),
    Reading(
        "D5",
        "which tokens can be chosen",
        "patches",
        "patches and the class token",
        "patches; the release's reading may choose the class token",
        ("clip.regions.top_patches",),
    ),
    Reading(
        "D6",
        "how patches reach CLIP's space",
        "a linear projection",
        "the last LayerNorm, the projection, and L2 before and after the sum",
        "as the release",
        ("clip.features.ImageStates",),
    ),
    Reading(
        "D7",
        "number of tokens in equation 13",
        "N_q, the number of queries",
        "N_cr, the number of regions",
        "N_cr",
        ("clip.regions.MACCAP_REGIONS", "textonly.regions.MACCAP_TOKENS"),
    ),
    Reading(
        "D8",
        "batch size and learning rate",
        "128 and 4e-4",
        "32 (2 x 16) and 1e-4, with gradients clipped before they are unscaled",
        "two presets; clipped after unscaling",
        (
            "textonly.presets.MACCAP_PAPER",
            "textonly.presets.MACCAP_RELEASE",
            "textonly.update.apply_gradients",
        ),
    ),
    Reading(
        "D9",
        "samples S of sampling and filtering",
        "20",
        "4, and off unless asked for",
        "20 where it is used",
        ("textonly.filtering.MACCAP_SAMPLES", "captioners.maccap.MACCAP_RELEASE_SAMPLES"),
    ),
    Reading(
        "D10",
        "length of the prefix",
        "not given",
        "32, whatever its option says",
        "32 by default, an argument",
        ("textonly.adaptor.AdaptorConfig",),
    ),
    Reading(
        "D11",
        "targets of the loss",
        "the words of the caption (equation 9)",
        "every text position: BOS and padding too",
        "words and EOS; the release's mean beside it",
        ("textonly.loss.caption_loss", "textonly.loss.release_loss"),
    ),
    Reading(
        "D12",
        "captions of at most 15 words",
        "filtered, with 566,747 and 144,998 captions left: the numbers before a filter",
        "no filter",
        "a filter that reports what it takes",
        ("data.corpus.CaptionCorpus",),
    ),
    Reading(
        "D13",
        "captions of CC3M",
        "3,302,783; the training file was published with 3,318,333 rows",
        "a file of texts",
        "what the file has, counted while it streams",
        ("data.cc3m.StreamCounts",),
    ),
    Reading(
        "D14",
        "images of COCO",
        "over 11,000; the splits have 123,287",
        "none",
        "Karpathy's counts, checked",
        ("data.karpathy.KARPATHY_IMAGES",),
    ),
    Reading(
        "D15",
        "captions in DeCap's memory",
        "50M in section 5.1, 50,000 in table 6",
        "500k, by word of its author",
        "an argument, 500,000 by default",
        ("captioners.memory_bank.DECAP_MEMORY",),
    ),
    Reading(
        "D16",
        "what mixing does to the pair cosine",
        "mean, max and min rise in the words; the maximum falls in table 1, .446 to .422",
        NOT_IN_RELEASE,
        "measured, all three reported",
        ("clip.regions.mix",),
    ),
    Reading(
        "D17",
        "MacCap's CIDEr on COCO",
        ".697 in tables 3 and 4, .687 in table 6",
        NOT_IN_RELEASE,
        "quoted with its table",
    ),
    Reading(
        "D18",
        "ZeroCap's BLEU-4 on COCO in table 3",
        ".007",
        "its published captions score .0698",
        "scored here, not copied",
    ),
    Reading(
        "D19",
        "CLIPRe from Flickr30k to COCO in table 2",
        "the same numbers as MAGIC's row",
        "its published captions score BLEU-1 .311, BLEU-4 .031, CIDEr .085",
        "scored here, not copied",
        ("captioners.clipre.ClipRe",),
    ),
    Reading(
        "D20",
        "ZeroCap's language model",
        "called training-free",
        "table 3 has the run with a GPT-2 adapted to COCO captions, one beam, 16 tokens",
        "both settings, named",
        ("captioners.zerocap.ZEROCAP", "captioners.zerocap.ZEROCAP_ADAPTED"),
    ),
    Reading(
        "D21",
        "ROUGE-L of MAGIC with a frozen model",
        ".042 in table 3, .142 in table 2, for one model",
        NOT_IN_RELEASE,
        "scored here, not copied",
    ),
    Reading(
        "D22",
        "wins over unpaired and supervised methods",
        "section 5.3 compares with rows that are not in table 3; in table 2 DeCap has the higher "
        "SPICE, .101 against .092",
        NOT_IN_RELEASE,
        "every difference with its interval",
    ),
    Reading(
        "D23",
        "prompt of zero-shot VQA",
        "caption, question, answer",
        "question and short answer: no place for a caption",
        "the paper's",
    ),
    Reading(
        "D24",
        "what CapDec and DeCap are",
        "the rows with a dagger: a frozen OPT fed one prefix position",
        "their own releases train the language model",
        "both",
        (
            "textonly.presets.CAPDEC_DAGGER",
            "textonly.presets.DECAP_DAGGER",
            "textonly.adaptor.SingleTokenMLP",
            "textonly.presets.TRAININGS",
        ),
    ),
)  # fmt: skip
