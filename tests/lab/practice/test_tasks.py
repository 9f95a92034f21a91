"""Every task: an empty answer is unwritten, and each mistake hears its own message."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from vizer_lab.practice import judge, task_names
from vizer_lab.practice.task import LEAST_CASES, LEAST_MISTAKES

TASKS = {name: import_module(f"vizer_lab.practice.{name}").TASK for name in task_names()}
MISTAKES = [
    pytest.param(task, mistake, id=f"{name}-{mistake.__name__}")
    for name, task in TASKS.items()
    for mistake in task.mistakes
]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_cases_mistakes_and_a_home(name):
    task = TASKS[name]
    assert len(task.cases()) >= LEAST_CASES
    assert len(task.mistakes) >= LEAST_MISTAKES
    path = task.at_home.split("`")[1]
    module, _, attribute = path.rpartition(".")
    assert hasattr(import_module(module), attribute), f"no {path}"


@pytest.mark.parametrize("name", TASKS)
def test_an_empty_answer_is_not_written_yet(name):
    assert "is not written yet" in judge(lambda *arguments: None, TASKS[name]).says


@pytest.mark.parametrize(("task", "mistake"), MISTAKES)
def test_a_known_mistake_is_refused_with_its_own_message(task, mistake):
    verdict = judge(mistake, task)
    assert not verdict.right
    assert verdict.says.endswith(inspect.getdoc(mistake))
