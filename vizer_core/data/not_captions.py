r"""What the lines of a text file are, where they are no captions: names, ids, code, a page.

Any line of text can be a caption, so no single line decides: a share of the first lines does, and
two of them at least. A few captions with a number, a quote or a colon are captions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from vizer_core.data.images import IMAGE_SUFFIXES, OTHER_SUFFIXES

SHARE = 0.2  # of the lines: more than these are no accident
LEAST = 2  # lines
NUMBERED = 5  # lines that count on by one are a list; fewer may be "1 dog", "2 dogs"
DIGITS = 5  # in an image's id; fewer are a number in a caption, 2 dogs or 1950s
NAMED_COLUMNS = "write a first line that names the columns, such as image,caption, or take "
# what a file of captions is never called
OTHER_FILES = frozenset(
    {
        *(".bib", ".c", ".cfg", ".cpp", ".css", ".h", ".html", ".htm", ".ini", ".ipynb", ".java"),
        *(".js", ".log", ".pdf", ".ps", ".py", ".r", ".rtf", ".sh", ".srt", ".tex", ".toml"),
        *(".ts", ".vtt", ".xml", ".yaml", ".yml"),
    }
)
_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs)://\S+")
_WORD_END = re.compile(r"[\t,;| ]+")
_TIME = re.compile(r"\d\d:\d\d[.,]\d{3} --> |\d\d:\d\d:\d\d[.,]\d{3} --> ")
_FIRST = re.compile(r"\d+(?:\.\d+)?\s*(?:[\t;|]|,(?!\d{3}\b)\s*\S)|\W?\d+[.):]\s")
_LAST = re.compile(r"(?:[\t;|]\s*|,)-?\d+(?:\.\d+)?$")  # not "Paris, 1945"
_KEY = re.compile(r"(?:- )?[A-Za-z_][\w-]*:(?:\s|$)")
_ITEM = re.compile(r"[-*+•]\s")
_CODE = re.compile(
    r"(?:import|from) [\w.]+(?: import .*| as \w+)?$|(?:def|class|async def) \w+.*:$|return\b"
    r"|(?:if|elif|else|for|while|with|try|except|finally)\b.*:$|(?!\{.*\}$).*[;{}]$"
    r"|[\w.\[\]]+ [-+*/|]?= |[\w.]+\((?:.*\))?,?$|@[\w.]+(?:\(.*\))?$|//|/\*|</?\w"
    r"|[)\]}]+[,;:]?$|\[[\w.]+\]$"
)
_TEX = re.compile(r"\\[a-zA-Z]+|%|.*\\(?:begin|end|item|cite|ref|section)\b")


def what_else(lines: Sequence[str]) -> str | None:
    """Say what lines are that are no captions, and what to do; None where they may be captions.

    `lines` are the first of a file, none of them blank.

    >>> what_else(["2 dogs run", "a cat, asleep", "three men"]) is None
    True
    >>> what_else(["a cat,1.jpg", "a dog,2.jpg"]).split(":")[0]
    "has a file's name in 2 of 2 lines"
    """
    first = lines[0] if lines else ""
    for start, what in _STARTS:
        if re.match(start, first, re.IGNORECASE):
            return what
    if any(map(_TIME.search, lines)):
        return "contains subtitles: take the times and the numbers out"
    for is_one, what in _KINDS:
        count = sum(map(bool, map(is_one, lines)))
        if count > SHARE * len(lines) and count >= min(LEAST, len(lines)):
            return what.format(f"{count} of {len(lines)} lines")
    numbers = [int(found[0]) for line in lines if (found := re.match(r"\d{1,9}(?=\s)", line))]
    if len(numbers) == len(lines) >= NUMBERED and all(b == a + 1 for a, b in pairwise(numbers)):
        return "numbers its lines: take the numbers out, with cut -d' ' -f2- for instance"
    return None


def is_file_name(word: str) -> bool:
    """Say whether a word is an image's file name, in quotes or with Flickr's number or not.

    >>> [is_file_name(word) for word in ('"1.jpg"', "a/b.PNG#0", "cat", ".jpg", "no.1")]
    [True, True, False, False, False]
    """
    name = re.sub(r"#\d+$", "", word.strip(" \"'()[]<>"))
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


_SUFFIXES = IMAGE_SUFFIXES | OTHER_SUFFIXES | {".avi", ".mkv", ".mov", ".mp4", ".webm"}


def _names_file(line: str) -> bool:
    return any(map(is_file_name, _WORD_END.split(line)))


def _has_id(line: str) -> bool:
    """Say whether a line's first or last field is an id, such as COCO_val2014_000000000042, 42."""
    line = line.strip().replace('"', "")
    first, *others = _WORD_END.split(line)
    return bool(
        _FIRST.match(line) or _LAST.search(line) or _is_id(first) or any(map(_is_id, others[-1:]))
    )


def _is_id(word: str) -> bool:
    digits = sum(map(str.isdigit, word))
    padded = word.isdecimal() and len(word) > 2 and word.startswith("0")
    counted = re.fullmatch(r"[A-Za-z]+[_-]?\d{3,}", word)  # video7010
    return padded or bool(counted) or (bool(re.fullmatch(r"[\w.#:-]+", word)) and digits >= DIGITS)


_Test = Callable[[str], object]
_STARTS = (
    (
        r"<!doctype|<html|<\?xml|<head|<svg",
        "is a web page or XML: a failed download, or captions to be taken out of it",
    ),
    (
        r"version https://git-lfs",
        "is a pointer of git-lfs, not the file: fetch it with git lfs pull",
    ),
    (r'[\[{]$|\["|\[\{|\[\[|\{"', "is JSON: end its name in .json"),
    (r"%YAML|---$", "is YAML: write its captions to a text file"),
    (r"%!PS|\{\\rtf", "is a document: save its text alone"),
    (r"WEBVTT", "contains subtitles: take the times out"),
    (r"#!", "is a program, not captions"),
    (r"#\s", "begins with a comment or a heading: take that line out, and look at what follows"),
)
_KINDS: tuple[tuple[_Test, str], ...] = (
    (_ADDRESS.fullmatch, "is a list of addresses, {}: take the captions"),
    (_ADDRESS.search, "has an address in {}: take the addresses out"),
    (_names_file, "has a file's name in {}: " + NAMED_COLUMNS + "the names out"),
    (_has_id, "has a number or an id beside the captions in {}: " + NAMED_COLUMNS + "them out"),
    (
        lambda line: "\t" in line.strip(),
        "is a table with tabs in {}: write a first line that names "
        "the columns, one of them caption, or take the captions' column out, with cut -f for "
        "instance",
    ),
    (_TEX.match, "is a text for TeX by {}: write its captions to a text file"),
    (_KEY.match, "looks like YAML, keys with a colon in {}: write its captions to a text file"),
    (_ITEM.match, "is a list with a mark before {}: take the marks out"),
    (_CODE.match, "looks like a program by {}: wanted captions"),
)
