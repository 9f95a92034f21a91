"""The words of a figure, for front ends that do not read the book's metadata."""

from __future__ import annotations

import copy

from nbformat import v4

from tools.figure_words import is_words, with_words
from tools.notebook_cells import normalise

ALT = "Two straight lines that cross."


def figure_cell():
    """A cell with a printed line and a figure."""
    data = {"image/svg+xml": "<svg/>", "text/plain": "<Figure>"}
    outputs = [v4.new_output("stream", text="7"), v4.new_output("display_data", data)]
    about = {"figure": {"caption": "Lines & `x`."}, "image": {"alt": ALT}}
    return v4.new_code_cell("draw()", metadata={"mystnb": about}, outputs=outputs)


def test_the_words_stand_below_the_figure_once():
    cell = with_words(figure_cell())
    again = with_words(copy.deepcopy(cell))
    assert again == cell
    printed, figure, words = cell["outputs"]
    assert is_words(words) and not is_words(figure) and not is_words(printed)
    html = words["data"]["text/html"]
    assert "<p>Lines &amp; <code>x</code>.</p>" in html and ALT in html
    assert figure["metadata"] == {"image/svg+xml": {"alt": ALT}}


def test_a_notebook_is_stored_with_them_and_a_cell_without_a_figure_is_not():
    plain = v4.new_code_cell("1", outputs=[v4.new_output("stream", text="1")])
    notebook = normalise(v4.new_notebook(cells=[figure_cell(), plain]), "01_x.ipynb")
    first, second = notebook["cells"]
    assert [is_words(output) for output in first["outputs"]] == [False, False, True]
    assert len(second["outputs"]) == 1
    assert normalise(copy.deepcopy(notebook), "01_x.ipynb") == notebook


def test_without_words_nothing_is_added():
    cell = figure_cell()
    cell["metadata"] = {}
    assert len(with_words(cell)["outputs"]) == 2
