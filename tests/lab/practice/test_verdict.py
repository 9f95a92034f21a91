"""How an answer is judged: what each kind of wrong answer is told, and that nothing is raised."""

from __future__ import annotations

import pytest
import torch

from vizer_lab.practice import Case, Task, check, judge, task_names


def mean_not_sum(x, k):
    """You took the mean. The sum is wanted."""
    return k * x.mean(0)


TASK = Task(
    answer=lambda x, k: k * x.sum(0),
    cases=lambda: [
        Case("two rows", (torch.tensor([[1.0, 2.0], [3.0, 5.0]]), 1.0)),
        Case("three rows", (torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, 2.0]]), 2.0)),
    ],
    mistakes=(mean_not_sum,),
    at_home="`torch.sum`",
    learns=True,
)


def stub(x, k): ...


def no_return(x, k):
    x.sum(0)


def raises(x, k):
    return (
        x.sum(0)[7]  # line 3
    )


def unwritten(x, k):
    raise NotImplementedError


def writes_into_it(x, k):
    x *= k
    return x.sum(0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (stub, "is not written yet"),
        (unwritten, "is not written yet"),
        (no_return, "is its `return` missing?"),
        (raises, "stops in line 3 of it with two rows: IndexError"),
        (lambda x, k: x[:, :1] @ x.sum(), ". Shapes: x [2, 2]."),
        (lambda x, k: x.nothing, "Tensor' object has no attribute 'nothing'"),
        (writes_into_it, "changes what it is given (three rows)"),
        (mean_not_sum, "You took the mean. The sum is wanted."),
        (lambda x, k: x, "With two rows: wanted the shape [2], got [2, 2]."),
        (lambda x, k: -k * x.sum(0), "Right but for the sign"),
        (lambda x, k: 3 * k * x.sum(0), "wanted times 3 (two rows), 3 (three rows). A sum"),
        (lambda x, k: k * x.sum(0) / 4, "wanted times 0.25 (two rows), 0.25 (three rows)."),
        (lambda x, k: k * x.sum(0) / 0, "not finite"),
        (lambda x, k: "7", "wanted tensor([4., 7.]), got '7'"),
        (lambda x, k: k * x.sum(0) + torch.tensor([0.0, 1.0]), "at place 1 7.0000, got 8.0000"),
        (lambda x, k: (k * x.sum(0)).detach(), "no gradient flows back"),
        (lambda x, k: (k * x.sum(0)).tolist(), "no gradient flows back"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(answer, told):
    verdict = judge(answer, TASK)
    assert not verdict.right
    assert told in verdict.says


def test_a_right_answer_is_told_so_and_where_the_package_has_it():
    verdict = judge(lambda x, k: (k * x).sum(0), TASK)
    assert verdict.right
    assert verdict.says == "is right, on all 2 cases. In the package: `torch.sum`."


def test_the_answers_arguments_are_its_own():
    """What one function writes into its arguments must not reach the judge's."""
    assert not judge(writes_into_it, TASK).right
    assert judge(TASK.answer, TASK).right


def test_a_table_of_the_other_orientation_is_called_transposed():
    task = Task(
        answer=lambda x: x @ x[:1].T,
        cases=lambda: [Case("a table", (torch.eye(3),))],
        mistakes=(),
        at_home="",
    )
    assert "Is it transposed?" in judge(lambda x: x[:1] @ x.T, task).says


ONE = Task(
    answer=lambda x: x.sum(),
    cases=lambda: [Case("one", (torch.ones(2),)), Case("two", (torch.ones(3),))],
    mistakes=(),
    at_home="",
)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x: x.sum() * len(x), "wanted times 2 (one), 3 (two). A sum where a mean belongs?"),
        (lambda x: x.sum() / len(x), "wanted times 0.5 (one), 0.3333 (two)."),
        (lambda x: x.sum() * 1.3, "wanted times 1.3 (one), 1.3 (two)."),
        (lambda x: x.sum() + 0.3, "With one: wanted 2.0000, got 2.3000."),
    ],
)
def test_of_single_numbers_only_a_telling_factor_is_named(answer, told):
    """Any wrong number is the right one times something."""
    assert told in judge(answer, ONE).says


def test_of_several_values_the_first_wrong_one_is_described():
    task = Task(
        answer=lambda x: (x, x.sum(0)),
        cases=lambda: [Case("a table", (torch.tensor([[1.0, 2.0], [3.0, 5.0]]),))],
        mistakes=(),
        at_home="",
    )
    told = judge(lambda x: (x, x.sum(1)), task).says
    assert "Of the 2 values, number 2: With a table: wanted the number at place 0 4.0000" in told
    assert "wanted 2 values, got one." in judge(lambda x: x, task).says
    assert "wanted 2 values, got 3." in judge(lambda x: (x, x, x), task).says


def test_check_prints_and_never_raises(capsys):
    def contrastive_loss(images, texts, logit_scale):
        raise KeyboardError  # noqa: F821  a name that is not there

    check(contrastive_loss)
    check(print)
    told = capsys.readouterr().out
    assert "NameError" in told and "`print` is none of the functions" in told
    assert "contrastive_loss" in task_names() and "verdict" not in task_names()
    assert max(map(len, told.splitlines())) <= 90
