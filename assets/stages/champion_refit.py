"""The champion as the gate compares it: its evaluated settings, trained on the challenger's training rows.

The model that serves is a refit, which has seen the hold-out; only its settings can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.stages.promotion import Loadable, loadable_champion
from assets.stages.training_task import TrainingTask
from models.errors import OtherRelease, TesseraError
from resources.registry.port import Registry
from resources.trainer.port import Trainer

if TYPE_CHECKING:
    from models.gates.evidence import Champion, NoChampion
    from models.training.candidates import Candidate
    from models.training.model import Vector
    from models.training.recipe import Recipe


@dataclass(frozen=True)
class Contender:
    """A trainer and what it made of the training rows."""

    trainer: Trainer
    candidate: Candidate


@dataclass(frozen=True)
class Standing:
    """The champion as evidence, and its settings as a contender; None if they cannot be trained any more.

    `is_older`: it was made as of an earlier day, so its settings trained tonight know more; or by an earlier release,
    so that it cannot serve.
    """

    champion: Champion | NoChampion
    contender: Contender | None = None
    is_older: bool = False


def standing(task: TrainingTask, contenders: Sequence[Contender], registry: Registry, as_of: date) -> Standing:
    """Return champion by its evaluated settings, trained on the contenders' rows; one of them if it has these.

    A champion without a recipe is compared as it is: the gate is closed if it has seen the hold-out. Where no champion
    of the ledger can be loaded, there is nothing to compare with, and a candidate has to pass every other check.
    """
    from models.gates.evidence import NoChampion, champion_from
    from models.training.recipe import RECIPE, Recipe

    if registry.champion(task.app) is None:
        return Standing(NoChampion())
    try:
        found = loadable_champion(task.app, registry)
    except TesseraError as error:
        return Standing(NoChampion(f"there is no champion that can be loaded: {error.what}"))
    outdated = _why_outdated(task, found)
    if RECIPE not in found.model.extras:
        if outdated:
            return Standing(NoChampion(f"version {found.version} cannot be compared: {outdated}"))
        return Standing(champion_from(found.version, found.model))
    recipe = Recipe.model_validate_json(found.model.extras[RECIPE])
    try:
        contender = _trained(task, contenders, recipe)
    except TesseraError as error:
        return Standing(_without_trainer(task, registry, found, as_of, error))
    return Standing(
        _by_settings(task, found, contender), contender, is_older=bool(outdated) or found.model.card.as_of < as_of
    )


def _why_outdated(task: TrainingTask, found: Loadable) -> str:
    """Return why the model cannot read the features of the task, which are those of this release; "" if it can."""
    from models.training.computed_features import ComputedFeatures

    try:
        ComputedFeatures(task.service, tuple(task.features)).check(found.model.encoder, found.model.card)
    except OtherRelease as error:
        return error.what
    return ""


def _trained(task: TrainingTask, contenders: Sequence[Contender], recipe: Recipe) -> Contender:
    """Return the contender that has these settings, or a new one."""
    from models.training.candidates import fit_candidates
    from resources.stack.recipes import trainer_of

    for contender in contenders:
        if recipe.same_settings(contender.trainer.recipe):
            return contender
    trainer = trainer_of(recipe).knowing(task.columns(task.split.encoder))
    return Contender(trainer, fit_candidates([trainer], task.split.train, task.task)[0])


def _by_settings(task: TrainingTask, found: Loadable, contender: Contender) -> Champion:
    from models.gates.evidence import Champion, recorded_labels

    split, model = task.split, contender.candidate.fit.model
    return Champion(
        found.version,
        split.label_end,
        split.train_cutoffs,
        lambda table: model.predict(split.encoder.matrix(table)),
        says="its evaluated settings, trained on the same rows",
        recorded=recorded_labels(found.model),
    )


def _without_trainer(
    task: TrainingTask, registry: Registry, found: Loadable, as_of: date, missing: TesseraError
) -> Champion:
    """Return champion, or the version that it is a refit of, as it is, if it has not seen the hold-out; else closed."""
    from models.gates.checks import has_seen
    from models.gates.evidence import Champion, champion_from
    from models.training.model_package import load

    holdout = task.split.holdout.cutoffs.min().astype("datetime64[D]").astype(date)
    linked = [entry.judged for entry in registry.ledger(task.app) if entry.to_version == found.version]
    judged = linked[-1] if linked else None
    packages = [(found.version, found.model)]
    packages += [(judged, load(registry.fetch(task.app, judged), trusted=registry.trusted_packages))] if judged else []
    for version, model in packages:
        if not has_seen(model.card.label_end, model.card.train_cutoffs, holdout):
            how = f"as it was evaluated on earlier rows, for its trainer is gone: {missing.what}"
            return replace(champion_from(version, model), says=how)
    free = min(model.card.label_end for _, model in packages) + (as_of - holdout)

    def closed(table: pa.Table) -> Vector:  # noqa: ARG001 - the interface has it
        raise TesseraError(
            f"Version {found.version} cannot be compared: its trainer is gone ({missing.what}), and it has seen the "
            "hold-out.",
            expected="the trainer that made the champion, so that its settings can be trained on the same rows",
            todo=f"Install it; or `tessera rollback {task.app}` to a version of another trainer; or wait: from "
            f"{free} on it is compared as it was evaluated. To insist on the candidate: "
            f"`tessera promote {task.app} --version VERSION --even-if-refused --why ...`.",
        )

    return Champion(found.version, task.split.label_end, task.split.train_cutoffs, closed)
