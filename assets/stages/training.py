"""The shared training stage: candidates, the choice among them, the gate, the registry, the promotion.

An application brings a `TrainingTask`; nothing here knows an application's name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import dagster as dg

from assets.stages import metadata_keys as keys
from assets.stages.champion_refit import Contender, Standing, standing
from assets.stages.champion_result import champion_result, shown
from assets.stages.other_release import this_release, why_outdated, why_waiting
from assets.stages.packaging import Packed, pack, registered
from assets.stages.promotion import make_champion
from assets.stages.refit import Serving, notify_refused_refit, serving
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.gate_verdict import GateVerdict
from models.gates.closing import failure_of
from models.gates.names import BEST_PART
from models.settings import TrainerSettings
from models.tracing import traced
from resources.notifier.port import Notifier
from resources.registry.port import Registry
from resources.stack.ports import NotifierResource, RegistryResource
from resources.trainer.port import Trainer

if TYPE_CHECKING:
    from models.gates.report import GateReport
    from models.training.candidates import Candidate
    from models.training.computed_features import ComputedFeatures
    from models.training.model_package import ModelCard


@dataclass(frozen=True)
class Evaluation:
    """A candidate, what the gate says of it, and its package in the registry; None if that refused the package.

    `renewal`: where the gate found the candidate no better than the champion, the champion's own settings trained on
    the same newer rows, passed by every other check. `instead_of`: the merge that this candidate is the best part of,
    and that the gate refused because it is no better.
    """

    contender: Contender
    report: GateReport
    version: str | None
    holdout: str
    as_of: date
    renewal: Evaluation | None = None
    instead_of: Evaluation | None = None

    @property
    def candidate(self) -> Candidate:
        """The model that was evaluated."""
        return self.contender.candidate

    @property
    def passing(self) -> tuple[Evaluation, str] | None:
        """Return the version to promote, with its evaluation: candidate, else renewal; None if both were stopped."""
        for one in (self, self.renewal):
            if one is not None and one.version and one.report.passed:
                return one, one.version
        return None

    @property
    def metrics(self) -> dict[str, float]:
        """Its numbers on the hold-out; empty if they could not be computed."""
        return dict(self.report.metrics.get("candidate", {}))

    def says(self, check: str) -> str:
        """Return the words of one check of the gate."""
        return next((found.says for found in self.report.checks if found.name == check), "")

    @property
    def refused_merge(self) -> str:
        """The merge that it stands in for, with the numbers; "" if there is none."""
        merge = self.instead_of
        return "" if merge is None else f"in place of {merge.candidate.name} ({merge.named}): {merge.says(BEST_PART)}"

    @property
    def named(self) -> str:
        """Its version in words."""
        return f"version {self.version}" if self.version else "not registered"

    def verdict(self, app: str, run_id: str, because: str = "") -> GateVerdict:
        """Return the gate's verdict, as the registry keeps it; `because`: why the champion had to be trained anew."""
        return GateVerdict(
            app=app,
            day=self.as_of,
            at=datetime.now(UTC),
            run_id=run_id,
            version=self.version,
            candidate=self.candidate.name,
            checks=len(self.report.checks),
            reasons={check.name: check.says for check in self.report.checks if not check.passed},
            renewal=self.renewal.verdict(app, run_id) if self.renewal else None,
            instead_of=self.instead_of.verdict(app, run_id) if self.instead_of else None,
            because=because,
            release=this_release(),
        )

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: numbers that plot, the gate report with its curves."""
        return {
            **shown(self.metrics),
            keys.KIND: self.candidate.name,
            keys.VERSION: self.version or "not registered",
            keys.HOLDOUT: self.holdout,
            keys.AGAINST_CHAMPION: self.says("champion"),
            keys.GATE_REPORT: dg.MetadataValue.md(self.report.markdown()),
        }


class TrainingRows(Protocol):
    """A training set, as Dagster shows it."""

    def metadata(self) -> dict[str, Any]:
        """Numbers that plot."""
        ...


R = TypeVar("R", bound=TrainingRows)


@dataclass(frozen=True)
class ChampionRun:
    """A run that keeps or replaces the champion of an application.

    Attributes:
        context: of the step.
        app: its name.
        train: `if_no_champion`, or `always`.
        registry: opened at once.
        notifier: opened when a decision was made.
        candidates: trainers of the candidates.
        computed: makes the features of this release: a champion that reads others is trained anew.
    """

    context: dg.AssetExecutionContext
    app: str
    train: Literal["if_no_champion", "always"]
    registry: RegistryResource
    notifier: NotifierResource
    candidates: Sequence[TrainerSettings]
    computed: Callable[[], ComputedFeatures]

    @property
    def day(self) -> date:
        """The partition of the run."""
        return date.fromisoformat(self.context.partition_key)

    def results(
        self, rows: Callable[[], R], training_task: Callable[[R], TrainingTask]
    ) -> Iterator[dg.MaterializeResult]:
        """Train, evaluate and promote, or keep the champion where no training is due.

        Args:
            rows: makes the training set.
            training_task: makes of it the application's training task.
        """
        from resources.stack.recipes import trainers_of

        models = self.registry.open()
        with models.lock(self.app):
            champion = models.champion(self.app)
            because = self._outdated(models, champion) if champion is not None else ""
            if self.train == "if_no_champion" and champion is not None:
                kept = kept_champion(self.app, models, because, self.day)
                if kept is not None:
                    yield kept
                    return
            self.context.log.info(f"Training: {because or ('asked for' if champion else 'there is no champion')}.")
            found = rows()
            yield dg.MaterializeResult(asset_key=[self.app, "training_set"], metadata=found.metadata())
            task = training_task(found)
            best = evaluate_candidates(task, trainers_of(self.candidates), models, self.day)
            yield dg.MaterializeResult(asset_key=[self.app, "candidate"], metadata=best.metadata())
            run = self.context.run
            by = {"run_id": run.run_id, "who": run.job_name, "because": because}
            yield promote_or_keep(task, best, models, self.notifier.open(), **by)

    def _outdated(self, registry: Registry, champion: str) -> str:
        return why_outdated(registry, self.app, champion, self.computed().check_package)


@traced("train and evaluate candidates")
def evaluate_candidates(task: TrainingTask, trainers: Sequence[Trainer], registry: Registry, as_of: date) -> Evaluation:
    """Return the best candidate by cross-validation, evaluated on the hold-out and registered with the gate's report.

    Where it is stopped by nothing but the comparison with the champion, the champion's settings are evaluated, too:
    what serves should know the newest rows. Where it is a merge that is no better than its best part, that part is
    evaluated in its place.
    """
    from models.gates.sufficiency import check_sufficient
    from models.training.candidates import choose, fit_candidates, parts_of

    check_sufficient(task.app, task.split, task.gate, task.task)
    columns = task.columns(task.split.encoder)
    fitters = [trainer.knowing(columns) for trainer in _baseline_first(task, trainers)]
    candidates = fit_candidates(fitters, task.split.train, task.task)
    contenders = [Contender(trainer, candidate) for trainer, candidate in zip(fitters, candidates, strict=True)]
    chosen = choose(candidates, task.gate.metric)
    mine = next(contender for contender in contenders if contender.candidate is chosen)
    made = parts_of(chosen, mine.trainer.parts, task.split.train, task.task)
    parts = [Contender(trainer, part) for trainer, part in zip(mine.trainer.parts, made, strict=True)]
    work = _Evaluator(task, contenders, standing(task, [*contenders, *parts], registry, as_of), registry, as_of)
    first = work.judged(mine)
    found = work.best_part(first, parts) or first
    return replace(found, renewal=work.renewal(found))


@dataclass(frozen=True)
class _Evaluator:
    """Inputs of one night's evaluation."""

    task: TrainingTask
    contenders: Sequence[Contender]
    standing: Standing
    registry: Registry
    as_of: date

    def judged(self, contender: Contender, notes: Sequence[str] = ()) -> Evaluation:
        task, candidate = self.task, contender.candidate
        tags = {"kind": candidate.name, "as_of": self.as_of.isoformat(), "feature_service": task.service}
        with tempfile.TemporaryDirectory(prefix="tessera-") as place:
            package = Path(place) / "package"
            unsaved = failure_of(lambda: self._pack(package, contender))
            report = self._report(contender, Packed(package, unsaved, self.registry.trusted_packages)).noted(notes)
            version, report = registered(task, self.registry, package, candidate.parameters, report, tags)
        return Evaluation(contender, report, version, task.holdout, self.as_of)

    def best_part(self, merge: Evaluation, parts: Sequence[Contender]) -> Evaluation | None:
        """Evaluate the part that cross-validation ranks first, if the merge is no better than its best part.

        Not where it is the champion of this very day: there is nothing new to compare.
        """
        if not parts or BEST_PART not in merge.report.stopped_by:
            return None
        metric = self.task.gate.metric
        part = max(parts, key=lambda one: one.candidate.cross_validated[metric].mean)
        if part is self.standing.contender and not self.standing.is_older:
            return None
        found = replace(merge, contender=part, instead_of=merge)
        return replace(self.judged(part, [f"Evaluated {found.refused_merge}."]), instead_of=merge)

    def renewal(self, first: Evaluation) -> Evaluation | None:
        """Evaluate the champion's settings on newer rows, if nothing but the comparison with them stopped `first`."""
        from models.gates.checks import COMPARISONS

        own = self.standing.contender
        if own is None or own is first.contender or not self.standing.is_older:
            return None
        stopped = set(first.report.stopped_by)
        return self.judged(own) if stopped and stopped <= COMPARISONS else None

    def _pack(self, package: Path, contender: Contender) -> None:
        task, candidate = self.task, contender.candidate
        card, extras = self._card(candidate), task.extras(candidate)
        pack(package, task, contender.trainer, candidate.fit, task.split.encoder, card, extras)

    def _card(self, candidate: Candidate) -> ModelCard:
        from models.training.model_package import ModelCard

        split = self.task.split
        return ModelCard(
            app=self.task.app,
            as_of=self.as_of,
            label_end=split.label_end,
            train_cutoffs=split.train_cutoffs,
            feature_service=self.task.service,
            feature_version=self.task.service,
            rows=len(split.train),
            labels=self.task.task.summary(split.train.labels),
            parameters=dict(candidate.parameters),
            metrics={name: estimate.mean for name, estimate in candidate.cross_validated.items()},
        )

    def _report(self, contender: Contender, packed: Packed) -> GateReport:
        from models.gates.evidence import Champion, GateEvidence
        from models.gates.gate import run_gate
        from models.training.candidates import shuffled_control

        split, champion = self.task.split, self.standing.champion
        baseline = self.contenders[0].candidate
        kind = self.task.task
        baselines = {name: kind.by_feature(split, feature) for name, feature in self.task.baselines.items()}
        baselines[baseline.name] = baseline.fit.model.predict(split.holdout.rows)
        if isinstance(champion, Champion) and contender is self.standing.contender:
            champion = replace(champion, is_renewed=self.standing.is_older)
        evidence = GateEvidence(
            name=contender.candidate.name,
            model=contender.candidate.fit.model,
            split=split,
            baselines=baselines,
            champion=champion,
            control=shuffled_control(contender.trainer, split.train, kind),
            size_bytes=packed.size_bytes,
            loads=packed.loads,
            recomputed=self.task.recomputed,
            plain_features=tuple(self.task.baselines.values()),
            trained_baseline=baseline.name,
        )
        return run_gate(evidence, self.task.gate, kind, picture=self.task.picture)


def promote_or_keep(
    task: TrainingTask,
    evaluation: Evaluation,
    registry: Registry,
    notifier: Notifier,
    *,
    run_id: str,
    who: str,
    because: str = "",
) -> dg.MaterializeResult:
    """Record the verdict, promote the passing version or keep the champion; return the resulting champion.

    What serves is a refit on all mature rows, where that is wanted.

    Args:
        task: with the rows and limits of the evaluation.
        evaluation: of the candidate.
        registry: holds the champion.
        notifier: hears of a refit that does not serve.
        run_id: of the Dagster run.
        who: the job, or the person.
        because: why the champion had to be trained anew; "" where that was asked for, or there was none.

    Raises:
        TesseraError: the gate is closed and there is no champion.
    """
    app = task.app
    registry.record_verdict(evaluation.verdict(app, run_id, because))
    if evaluation.passing is not None:
        passed, version = evaluation.passing
        served = serving(task, passed.contender, version, registry, evaluation.as_of)
        # A champion that this release cannot use scores no share of the entities meanwhile: it is replaced at once.
        if task.waits_for_replacement and registry.champion(app) is not None and not because:
            todo = f"`tessera replace start {app} --version {served.version} --why TEXT`"
            verdict = f"stays: version {served.version} passed and waits for its replacement, {todo}"
            return champion_result(app, registry, verdict, passed.report.checks)
        _promote(task, passed, served, registry, run_id=run_id, who=who, because=because)
        verdict = f"promoted: {len(passed.report.checks)} of {len(passed.report.checks)} checks passed"
        if passed is evaluation.renewal:
            verdict = f"renewed: the champion's settings on newer rows; candidate {evaluation.named} was no better"
        verdict += f"; {passed.refused_merge}" if passed.refused_merge else ""
        if served.problem:
            undelivered = notify_refused_refit(notifier, task, served, evaluation.as_of, run_id)
            verdict += f"; its refit does not serve: {served.problem}"
            verdict += f" (the notice was not delivered: {undelivered})" if undelivered else ""
        return champion_result(app, registry, verdict, passed.report.checks, because)
    return champion_stays(app, registry, evaluation.named, evaluation.report, because=because)


@traced("promote")
def _promote(
    task: TrainingTask, passed: Evaluation, served: Serving, registry: Registry, *, run_id: str, who: str, because: str
) -> None:
    metric = task.task.metric(task.gate.metric)
    why = (
        f"{passed.candidate.name} passed the gate: {metric.words} {passed.metrics[metric.name]:.3f} "
        f"on {passed.holdout}; {passed.says('champion')}"
    )
    trained = f"trained because {because}" if because else ""
    why += "".join(f"; {says}" for says in (passed.refused_merge, served.says, trained) if says)
    make_champion(
        registry,
        task.app,
        served.version,
        action="promote",
        why=why,
        who=who,
        run_id=run_id,
        metrics=passed.metrics,
        judged=served.judged,
    )


def _baseline_first(task: TrainingTask, trainers: Sequence[Trainer]) -> list[Trainer]:
    """Return all trainers, the baseline's first: of the candidates, the first of its name takes its place."""
    from resources.stack.recipes import trainers_of

    (default,) = trainers_of([task.baseline_trainer])
    baseline = next((trainer for trainer in trainers if trainer.name == default.name), default)
    return [baseline, *(trainer for trainer in trainers if trainer is not baseline)]


def champion_stays(
    app: str, registry: Registry, named: str, report: GateReport, says: str = "", because: str = ""
) -> dg.MaterializeResult:
    """Return the champion, after a candidate was stopped by the gate.

    Args:
        app: the application.
        registry: holds the champion.
        named: the candidate, e.g. `version 3`.
        report: of the gate.
        says: words of the checks that stopped it, for the message; "" for those of the report.
        because: why the champion had to be trained anew, "" if it had not.

    Raises:
        TesseraError: there is no champion.
    """
    stopped = ", ".join(report.stopped_by)
    if registry.champion(app) is None:
        failed = [f"{check.name} ({check.says.rstrip('.')})" for check in report.checks if not check.passed]
        raise TesseraError(
            f"The candidate ({named}) was stopped by the gate: {f'{stopped}{says}' if says else '; '.join(failed)}.",
            expected="a first model that passes every check, since there is none",
            todo=f"Read the gate report of {app}/candidate in the UI; limits are settings.{app}.gate in stack.yaml.",
        )
    verdict = f"stays: candidate {named} was stopped by {stopped}"
    return champion_result(app, registry, verdict, report.checks, because)


def keep_champion(app: str, registry: Registry, waiting: str = "") -> dg.MaterializeResult:
    """Return the champion, on a night without training; the check keeps showing the last verdict.

    `waiting`: why nothing is trained though this release cannot use the champion; "" where it can.
    """
    return champion_result(app, registry, f"stays: {waiting or 'no training was due'}")


def kept_champion(app: str, registry: Registry, because: str, day: date) -> dg.MaterializeResult | None:
    """Return the champion on a night on which no training is due; None if it must be trained anew, for `because`."""
    waiting = why_waiting(registry, app, because, day) if because else ""
    return keep_champion(app, registry, waiting) if waiting or not because else None
