"""Exercises that judge: each solution passes, each wrong answer is told what is wrong.

Everything that is run is the chapter's own text: its code, its check, its folded solution.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import re
from dataclasses import dataclass
from typing import Any

import nbformat
import pytest
from built_book import ROOT
from chapter_names import names_of, read_by
from wrong_answers import LATER

from tools import notebooks

JUDGED = (*range(1, 6), *range(9, 17))
FEWEST_WRONG = 3  # plausible wrong answers of each exercise
SOLUTION = re.compile(r"<summary>Solution</summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL)
HEADING = re.compile(r"^### Exercise (\d): (.+)$", re.MULTILINE)
GOAL = "the book's"  # heads the column of a number to hit


@dataclass(frozen=True)
class Exercise:
    """What a reader starts from, what is run before, what judges it, and the book's solution."""

    before: str
    start: str
    check: str
    solution: str


@dataclass(frozen=True)
class Chapter:
    """The code before a chapter's exercises, and its exercises by number."""

    code: str
    exercises: dict[int, Exercise]


@functools.cache
def chapter(number: int) -> Chapter:
    (path,) = (p for p in notebooks.paths(ROOT, []) if p.name.startswith(f"{number:02d}"))
    cells = nbformat.read(path, as_version=4)["cells"]
    first = next(i for i, c in enumerate(cells) if "## Exercises" in c["source"].splitlines())
    code = "\n".join(c["source"] for c in cells[:first] if c["cell_type"] == "code")
    found: dict[int, Exercise] = {}
    current, before, start, check = 0, "", "", ""
    for cell in cells[first:]:
        source = cell["source"]
        if cell["cell_type"] == "code":
            if source.startswith("# yours"):
                start = source
            elif "tell(" in source:
                check = source
            else:
                before += f"{source}\n"
            continue
        solved = SOLUTION.search(source)
        if solved and current:
            found[current] = Exercise(before, start, check, solved[1])
            before, start, check = "", "", ""
        heading = HEADING.search(source)
        current = int(heading[1]) if heading else 0
        if "## Try it yourself" in source or "## References" in source:
            break
    return Chapter(code, found)


@functools.cache
def known(number: int) -> dict[str, Any]:
    """Run what the exercises of a chapter need of it."""
    here = chapter(number)
    parts = [
        part for e in here.exercises.values() for part in (e.before, e.start, e.check, e.solution)
    ]
    wanted = set().union(*(read_by(ast.parse(part)) for part in parts))
    names = names_of(here.code, wanted)
    for exercise in here.exercises.values():
        exec(exercise.before, names)
    return names


@functools.cache  # a solution is asked for twice
def said(number: int, place: int, answer: str) -> str:
    """Return what the check prints to an answer."""
    exercise, names = chapter(number).exercises[place], dict(known(number))
    exec(exercise.start, names)  # what a reader changes: its other lines stay
    exec(answer, names)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(exercise.check, names)
    return told.getvalue()


WRONG: dict[tuple[int, int], dict[str, str]] = {
    (1, 1): {
        "row = torch.full((65,), 1.0)": "add up to 65",
        "row = torch.zeros(65); row[:2] = 0.5": "2 tokens share the attention",
        "row = torch.ones(64) / 64": "Wanted 65 numbers",
        "row = torch.zeros(65); row[0] = 9.0": "no number can be larger than 1",
    },
    (1, 2): {
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    return torch.take_along_dim(attention @ tokens, chosen[:, :, None], 1)": "length 1",
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    rows = attention.mT @ tokens\n"
        "    return unit_norm(torch.take_along_dim(rows, chosen[:, :, None], 1))": "columns of A",
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    picked = torch.take_along_dim(tokens, chosen[:, :, None], dim=1)\n"
        "    return unit_norm(picked)": "average of all",
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    return unit_norm((attention @ tokens)[:, : chosen.shape[1]])": "first rows of A",
        "def regions_by_hand(tokens, attention, chosen): ...": "is not written yet",
    },
    (1, 3): {
        "beta = 0.3": "flatter",
        "beta = 3.0": "not far enough",
        "beta = -10.0": "turns the order round",
    },
    (1, 4): {
        "features = other_states.image_features": "Wanted a feature for each patch",
        "features = other_states.image_features[:, None].expand(-1, 64, -1)": "the map is flat",
        "features = -other_states.counterfactual_features": "does not follow the caption",
    },
    (2, 1): {
        "energy = lambda cosine: (2 - 2 * cosine) ** 0.5": "its square",
        "energy = lambda cosine: 2 + 2 * cosine": "the sign of the cross term",
        "energy = lambda cosine: 1 - 2 * cosine": "One of the two squares is missing",
    },
    (2, 2): {
        "scale = 10.0": "Make the softmax sharper",
        "scale = 0.0": "A logit scale is above 0",
        "scale = 30": "begun to part",
    },
    (2, 3): {
        "move = lambda images, texts: (images, texts)": "still open",
        "move = lambda images, texts: tuple(torch.nn.functional.normalize(t - t.mean(0)) "
        "for t in (images, texts))": "what you do after it is not",
        "move = lambda images, texts: (images - images.mean(0), texts - texts.mean(0))": "without "
        "changing their order",
        "move = lambda images, texts: images": "Give two tables back",
        "move = lambda images, texts: (images[:9], texts)": "must keep their shape",
    },
    (2, 4): {
        "bar = lambda c, x: (2 + 2 * c).sqrt() * x": "subtract 1 from the root",
        "bar = lambda c, x: (1 + 2 * c) * x": "is a root",
        "bar = lambda c, x: ((2 + 2 * x).sqrt() - 1) * c": "have changed places",
    },
    (3, 1): {
        "mine = torch.ones(d) / d**0.5": "do not cancel",
        "mine = torch.ones(d); mine[::2] *= -1": "divide them all by the length",
        "mine = torch.zeros(3)": "Wanted 128 numbers",
    },
    (3, 2): {
        "second = GapHistogram(d, centre=-pooled['global'].dimension_means.float())\n"
        "second.update(image, text)": "wrong sign",
        "second = GapHistogram(d, centre=torch.full((d,), pooled['global'].moments.mean))\n"
        "second.update(image, text)": "the same number from each dimension",
        "second = GapHistogram(d, centre=pooled['global'].dimension_means.float())": "counted 0",
        "second = GapHistogram(d, centre=text.mean(0))\n"
        "second.update(image, text)": "Another vector",
    },
    (3, 3): {
        "mine = pair_cosine**0.5": "nearer to each other than to the caption",
        "mine = pair_cosine / 2": "does not halve",
        "mine = 2 * pair_cosine**2 - 1": "in one plane",
    },
    (3, 4): {
        "left, right = text, image": "only turns the gap round",
        "left, right = image, text[torch.randperm(n, generator=seeded(1))]": "its own caption",
        "c = torch.rand(n, d, generator=seeded(6)) < 0.5\n"
        "left, right = torch.where(c, text, image), torch.where(c, image, text)": "move whole rows",
    },
    (4, 1): {
        "moved = projections[1].points - projections[1].points.mean(0)": "centre of all points",
        "moved = projections[1].points * 0": "Neighbours have changed",
        "moved = projections[1].of('text')": "Wanted all",
    },
    (4, 2): {
        "fraction = 0.3": "close more of the gap",
        "fraction = 1.0": "close less of the gap",
        "fraction = 60": "between 0 and 1",
    },
    (4, 3): {
        "mine = float(two.of('text')[:, 0].mean() - two.of('image')[:, 0].mean())\n"
        "mine = abs(mine)": "Divide it by the gap norm",
        "mine = (two.of('text').mean(0) - two.of('image').mean(0))[1].abs() / gap": "second axis",
        "step = two.of('text')[:, 0].mean() - two.of('image')[:, 0].mean()\n"
        "mine = -abs(float(step)) / gap": "take the absolute value",
    },
    (5, 1): {
        "KEEP = 3": "Keep fewer",
        "KEEP = 0": "keep 1 to 5",
        "KEEP = 9": "keep 1 to 5",
    },
    (5, 2): {
        "my_edit = lambda caption: 'a dog'": "CLIPScore notices",
        "my_edit = lambda caption: caption.replace('xylophone', 'cat')": "No caption has changed",
        "my_edit = lambda caption: caption.replace('above', 'below')": "too little in each",
    },
    (5, 3): {
        "WEIGHT = 1.0": "one metric alone",
        "WEIGHT = 0.9": "Take less of it",
        "WEIGHT = 25": "between 0 and 1",
    },
} | LATER  # fmt: skip
ALL = [(number, place) for number in JUDGED for place in chapter(number).exercises]
REFUSED = [
    (*key, answer, told) for key, answers in WRONG.items() for answer, told in answers.items()
]


@pytest.mark.parametrize("number", JUDGED)
def test_a_chapter_ends_in_judged_exercises_with_a_number_to_hit(number):
    exercises = chapter(number).exercises
    assert len(exercises) >= 3
    for exercise in exercises.values():
        assert exercise.start and exercise.check and exercise.solution.strip()
    told = [said(number, place, exercises[place].solution) for place in exercises]
    assert any(GOAL in text for text in told), "wanted at least one number to hit"


@pytest.mark.parametrize(("number", "place"), ALL)
def test_the_folded_solution_passes_and_the_start_does_not(number, place):
    exercise = chapter(number).exercises[place]
    assert said(number, place, exercise.solution).startswith("passed"), "the solution"
    assert said(number, place, exercise.start).startswith("not yet"), "the answer one starts from"


@pytest.mark.parametrize(("number", "place", "answer", "told"), REFUSED)
def test_a_wrong_answer_is_refused_and_told_why(number, place, answer, told):
    words = said(number, place, answer)
    assert words.startswith("not yet")
    assert told in " ".join(words.split())


def test_every_exercise_has_wrong_answers():
    assert set(WRONG) == set(ALL)
    assert all(len(answers) >= FEWEST_WRONG for answers in WRONG.values())
