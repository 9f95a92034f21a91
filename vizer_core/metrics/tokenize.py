"""Penn-Treebank tokens as the COCO caption tools see them, without Java.

Published BLEU, ROUGE-L and CIDEr on COCO are usually computed on the output of Stanford CoreNLP
3.4.1's `PTBTokenizer`, lower-cased and with punctuation removed. The rules below were written from
that program's output on probe strings and on COCO train2014 (its source was not read), and
`tests/metrics/test_tokenize.py` compares the two. What the rules say, in short:

* clitics split off: `man 's`, `is n't`; so do the halves of `can not`, `gon na`, `lem me`;
* a period stays in abbreviations (`st.`), acronyms (`u.s.`), initials (`j. crew`), and inside
  `word.Word`; elsewhere it is punctuation;
* hyphens, slashes, times, decimals and fractions stay whole: `t-shirt`, `his/her`, `10:30`;
* brackets become the words `-lrb-`, `-rrb-`, and so on, and stay: the list of punctuation to
  drop has them in upper case, after the text was lower-cased. Numbers in papers include this.

Where we differ: a line separator inside a caption is a space. The Java tool reads it as the end
of the caption, and every later caption then belongs to the wrong image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

TOKENIZER = "ptb-py.1"  # the name in every signature; change it when any rule changes

_L = r"[^\W\d_]"  # one letter of any script
_W = r"[^\W_]"  # a letter or a digit
_ABBREVIATIONS = """
    jan feb mar apr jun jul aug sept? oct nov dec mon tues? wed thurs? thu fri
    st ave blvd rd ct mt sq bldg dept ste co inc corp ltd bros cie pty plc intl univ assn insp
    dr drs mr mrs ms messrs mlle mme prof profs gen gov govs sens? reps? rev hon pres supt asst
    assoc capt cmdr comdr col lt maj brig sgt msgr cpl pfc sfc adm atty attys det elec jr sr esq
    etc vs cf al ens est ext ft mfg msgr natl rt sys tel e\\.g i\\.e a\\.k\\.a ph ph\\.d
    ala ariz calif colo conn fla ga ind kans? ky md mich minn mo mont neb nev okla penn tenn vt va
    wisc? wyo
"""
_CAPITAL_ABBREVIATIONS = "Ark Del Ill La Mass Miss Ore Pa Tex Wash"  # not "la." nor "ill."
_SENTENCE_STARTS = """
    A About After An As At But He Her Here However If In It Many Mr Ms Now Once One Other Our She
    Since So Some That The Their Then There These They This We What When While You
"""


def _either(words: str) -> str:
    return "|".join(words.split())


_CAPITALS = _either(f"{_CAPITAL_ABBREVIATIONS} {_CAPITAL_ABBREVIATIONS.upper()}")


_RULES = (
    rf"</?{_L}[^<>\s]*>",  # <unk>
    r"https?://\S+|[\w.+-]+@[\w.-]*\w|@\w+",
    rf"#{_L}\w*|&#\d+;",
    r"[:;=]-?[()]|[:=]-?[DP]\b|:\d\d\b",
    r"\d+[ \xa0]\d+/\d+",  # 4 1/2 is one token, with a no-break space inside
    r"[+-]?\d+(?::\d+)+",
    rf"{_W}[\w-]*(?:/{_W}(?:[\w-]*{_W})?)+",  # his/her, 1/2
    rf"{_L}(?:\.{_L})+\.(?!{_L})",  # u.s.
    rf"(?i:(?:{_either(_ABBREVIATIONS)})\.)(?!{_L})|(?:{_CAPITALS})\.",
    r"(?i:nos?|figs?|op|ca|pp)\.(?=\s?\d)",
    rf"{_L}(?:[\w-]*{_W})?(?:\.{_L}(?:[\w-]*{_W})?)+",  # umbrella.Someone
    rf"[A-Za-z]\.(?=\s*\S)(?!\s+(?:{_either(_SENTENCE_STARTS)})\b)",  # j. crew
    rf"{_L}+\.(?=[,;:])",
    rf"{_L}+(?:[!?]{_L}+)+",  # hi!there
    rf"''+|'[nN]'|'(?i:em|till?|cause|n(?=\s))(?!{_W})|'\d\ds?(?![\w\".,'])|'[tT](?=(?i:is|was)\b)|(?i:\b(?:dunkin|ol))'",
    rf"(?:{_L}+-)*[A-HJ-XZcdlno]'{_L}{{2,}}|(?i:y)'(?=(?i:all))",  # o'clock
    rf"{_L}*[aeiouAEIOU]'[aeiouAEIOU]{_L}*",  # hawai'i
    rf"(?i:n't|'(?:s|m|d|re|ve|ll))(?!{_L})",
    r"(?i:can(?=not\b)|(?:gon|wan)(?=na\b)|got(?=ta\b)|(?:gim|lem)(?=me\b))",
    rf"{_W}[\w-]*?(?=(?i:n't)(?!{_L}))",  # is|n't
    r"[A-Z]+&[A-Z]+|[cC]\+\+",
    rf"[+-]?(?:\d+(?:[.,]\d+)+|\.\d+|(?<![^\W_])\d+(?!{_W}))(?:-{_W}+)*",
    r"[A-Z]{1,3}\$",
    rf"{_W}+(?:[-_]{_W}+)*",  # t-shirt
    r",\d+\b",
    r"[!?]+|\*+|_+|>+|<+|\.{3,}|--+",
    r"\S",
)
_TOKEN = re.compile("|".join(_RULES))

_SPELL = str.maketrans(
    {
        **dict.fromkeys("\u200b\ufffd", " "),
        **dict.fromkeys("\u2018`", " ` "),
        "\u2019": "'",
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2013\u2014", " -- "),
        "\u2026": " ... ",
        # a tab, not a space: "1½" is two tokens although "1 1/2" is one
        "½": "\t1/2",
        "¼": "\t1/4",
        "¾": "\t3/4",
        "€": "$",
        "£": "#",
        "¢": " cents ",
    }
)
_ENTITIES = (
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&lt;", " < "),
    ("&gt;", " > "),
    ("&nbsp;", " "),
    ("&amp;", "&"),
)
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_PUNCTUATION = frozenset(["'", "`", '"', ".", "?", "!", ",", ":", "-", ";"])
_PLAIN = re.compile(r"[A-Za-z ,]*\.? ?")
_HALVED = frozenset(["cannot", "gonna", "wanna", "gotta", "gimme", "lemme"])
# a final period belongs to these words, or may: such captions go through the rules
_MAY_KEEP_PERIOD = frozenset(
    spelling
    for word in f"{_ABBREVIATIONS} {_CAPITAL_ABBREVIATIONS}".lower().split()
    for spelling in (word.replace("?", ""), re.sub(r".\?", "", word))
)


def _spelled(token: str) -> str:
    token = token.lower()
    if token[0] in ":;=" and token[-1] in "()":
        return token[:-1] + _BRACKETS[token[-1]]
    return _BRACKETS.get(token, token.replace(" ", "\xa0") if token[0].isdigit() else token)


def _is_punctuation(token: str) -> bool:
    untokenizable = ord(token[0]) > 0xFFFF or "\ud800" <= token[0] <= "\udfff"
    return token in _PUNCTUATION or token.startswith(("--", "...", "''")) or untokenizable


def tokenize(caption: str) -> str:
    """Return the caption's lower-case PTB tokens without punctuation, joined by single spaces.

    >>> tokenize("A man's dog isn't near 5th Ave., is it?")
    "a man 's dog is n't near 5th ave. is it"
    """
    if _PLAIN.fullmatch(caption):
        words = caption.lower().replace(",", " ").rstrip(". ").split()
        if _HALVED.isdisjoint(words) and words and words[-1] not in _MAY_KEEP_PERIOD:
            return " ".join(words)
    text = caption.translate(_SPELL)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    tokens = _TOKEN.findall(text)
    return " ".join(_spelled(token) for token in tokens if not _is_punctuation(token))


def tokenize_captions(captions: Iterable[str]) -> list[str]:
    """Tokenise many captions.

    >>> tokenize_captions(["A cat.", "Two t-shirts (red)"])
    ['a cat', 'two t-shirts -lrb- red -rrb-']
    """
    return [tokenize(caption) for caption in captions]
