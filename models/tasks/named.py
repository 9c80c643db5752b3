"""Tasks by name."""

from models.tasks.binary import BINARY
from models.tasks.multiclass import MULTICLASS
from models.tasks.ranking import RANKING
from models.tasks.regression import REGRESSION
from models.tasks.task import Task, TaskName

TASKS: dict[TaskName, Task] = {task.name: task for task in (BINARY, REGRESSION, MULTICLASS, RANKING)}


def task_of(name: TaskName) -> Task:
    """Return the task of that name."""
    return TASKS[name]
