"""Write it yourself: what a reader writes in a chapter, and what judges it.

    check(contrastive_loss)     runs the reader's function and says in words what is wrong, or that
                                it is right. It never raises, and changes nothing.

A task is one file, named like the function that the reader writes: `contrastive_loss.py` contains
`TASK`, with the package's own function as the judge of what is right, cases to try, and the
mistakes that people make here, each a function whose docstring is what to tell them.

- `task`: what a task is made of
- `verdict`: how an answer is judged
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_lab.practice.task import Case as Case
    from vizer_lab.practice.task import Task as Task
    from vizer_lab.practice.verdict import Verdict as Verdict
    from vizer_lab.practice.verdict import check as check
    from vizer_lab.practice.verdict import judge as judge
    from vizer_lab.practice.verdict import task_names as task_names

_HOME = {
    "vizer_lab.practice.task": ("Case", "Task"),
    "vizer_lab.practice.verdict": ("Verdict", "check", "judge", "task_names"),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
