"""Rows that a model can be trained on at all: asked before anything is trained, and once more by the gate."""

import numpy as np

from models.errors import TesseraError
from models.gates.check import GateCheck
from models.gates.config import GateConfig
from models.gates.context import GateContext
from models.gates.evidence import GateEvidence
from models.tasks.task import Task
from models.training.dataset import Split


def features_vary(context: GateContext) -> GateCheck:
    """Check that at least one feature is not the same in every training row."""
    rows = context.split.train.rows
    first = rows[:1]
    same = ((rows == first) | (np.isnan(rows) & np.isnan(first))).all(axis=0)
    several = int((~same).sum())
    says = f"{several} of {same.size} features have more than one value in the training rows"
    return GateCheck("features_vary", several > 0, float(several), 1.0, says)


def check_sufficient(app: str, split: Split, config: GateConfig, task: Task) -> None:
    """Stop before anything is trained from too little.

    Raises:
        TesseraError: too few entities, or of a class, or only constant features, with the numbers.
    """
    context = GateContext(GateEvidence(app, None, split, None, None, None, None, None), config, task)
    failed = [check for check in (ask(context) for ask in task.sufficient) if not check.passed]
    if failed:
        raise TesseraError(
            f"{app} cannot be trained on these rows: {'; '.join(check.says for check in failed)}.",
            expected="rows with different labels, and features that tell them apart",
            todo="Ingest more history or more customers, and look at the labels and features of the training set "
            f"({app}_training_set in the lake); the limits are settings.{app}.gate in stack.yaml.",
        )
