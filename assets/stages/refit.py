"""The version that serves: the evaluated settings refit on all mature rows, if it agrees with the evaluated model."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from assets.stages.champion_refit import Contender
from assets.stages.packaging import pack, register_version
from assets.stages.promotion import verified
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.gates.closing import failure_of, reason_of
from models.ledger import PASSED, STOPPED
from models.tracing import traced
from resources.notifier.port import Notifier
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.training.agreement import Agreement
    from models.training.dataset import Whole
    from models.training.model import Fit
    from models.training.model_package import ModelCard


@dataclass(frozen=True)
class Serving:
    """The version to promote.

    Attributes:
        version: a refit, or the evaluated version itself.
        judged: the version that it is a refit of; None if it is the evaluated one.
        says: in words, for the ledger.
        problem: why the refit does not serve; "" if it does, or none was asked for.
    """

    version: str
    judged: str | None = None
    says: str = ""
    problem: str = ""


@traced("refit")
def serving(task: TrainingTask, contender: Contender, version: str, registry: Registry, as_of: date) -> Serving:
    """Return refit of the evaluated `version`, linked with it, or that version itself and why its refit does not serve.

    Args:
        task: the training task.
        contender: the candidate that passed the gate, with its trainer.
        version: of that candidate in the registry.
        registry: where the refit is kept, also one that does not serve.
        as_of: the day of the training.
    """
    if not task.refit.enabled or task.whole is None:
        return Serving(version)
    found: list[Serving] = []
    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        refit = _Refit(task, contender, version, as_of, task.whole())
        failed = failure_of(lambda: found.append(refit.served(registry, Path(place) / "package")))
    return found[0] if failed is None else Serving(version, problem=reason_of(failed))


def notify_refused_refit(notifier: Notifier, task: TrainingTask, served: Serving, as_of: date, run_id: str) -> str:
    """Notify that the refit does not serve; return why the notice was not delivered, "" if it was."""
    context = {"app": task.app, "day": as_of.isoformat(), "version": served.version, "run_id": run_id}
    body = (
        f"Version {served.version} passed the gate and serves as it was evaluated, without the newest rows: its refit "
        f"on all mature rows does not serve ({served.problem}). Limits are settings.{task.app}.refit in stack.yaml."
    )
    try:
        notifier.notify("warning", f"{task.app} {as_of}: the refit does not serve", body, context)
    except TesseraError as error:
        return error.what
    return ""


@dataclass(frozen=True)
class _Refit:
    task: TrainingTask
    contender: Contender
    judged: str
    as_of: date
    whole: Whole

    def served(self, registry: Registry, package: Path) -> Serving:
        candidate, rows = self.contender.candidate, self.whole.train
        trainer = self.contender.trainer.knowing(self.task.columns(self.whole.encoder))
        fit = trainer.keeping(candidate.fit.notes).fit(rows.rows, rows.labels, rows.groups)
        found = self._agreement(fit)
        problems = found.problems(self.task.refit)
        extras = self.task.refit_extras(fit.model, self.whole.encoder)
        card, judged = self._card(fit, found), candidate.fit.model
        pack(package, self.task, self.contender.trainer, fit, self.whole.encoder, card, extras, judged)
        version = self._registered(registry, package, found, problems)
        if problems:
            return Serving(self.judged, problem="; ".join(problems))
        broken = failure_of(lambda: verified(registry, self.task.app, version))
        if broken is not None:
            registry.retag(self.task.app, version, {"gate": f"{STOPPED} loads"})
            return Serving(self.judged, problem=reason_of(broken))
        says = f"refit of version {self.judged} on all {len(rows):,} mature rows, labels up to {self.whole.label_end}"
        return Serving(version, self.judged, f"{says} ({found})")

    def _agreement(self, fit: Fit) -> Agreement:
        from models.training.agreement import agreement

        tonight = self.task.newest if self.task.tonight is None else self.task.tonight
        judged = self.contender.candidate.fit.model.predict(self.task.split.encoder.matrix(tonight))
        refit = fit.model.predict(self.whole.encoder.matrix(tonight))
        return agreement(judged, refit, self.task.task.shift)

    def _card(self, fit: Fit, found: Agreement) -> ModelCard:
        from models.training.model_package import ModelCard

        return ModelCard(
            app=self.task.app,
            as_of=self.as_of,
            label_end=self.whole.label_end,
            train_cutoffs=self.whole.cutoffs,
            feature_service=self.task.service,
            feature_version=self.task.service,
            rows=len(self.whole.train),
            labels=self.task.task.summary(self.whole.train.labels),
            parameters={**self.contender.candidate.parameters, **fit.notes},
            metrics={"rank_correlation": found.rank_correlation, "mean_shift": found.mean_shift},
        )

    def _registered(self, registry: Registry, package: Path, found: Agreement, problems: list[str]) -> str:
        from models.training.children import children_tag

        whole, candidate = self.whole, self.contender.candidate
        verdict = f"does not serve: {'; '.join(problems)}" if problems else "serves"
        report = (
            f"## Refit of version {self.judged}: {verdict}\n\n"
            f"- {len(whole.train):,} rows, labels up to {whole.label_end}\n- against version {self.judged}: {found}\n"
        )
        tags = {
            "kind": candidate.name,
            "gate": f"{STOPPED} refit ({'; '.join(problems)})" if problems else PASSED,
            "as_of": self.as_of.isoformat(),
            "feature_service": self.task.service,
            "refit_of": self.judged,
            "rows": str(len(whole.train)),
            "label_end": whole.label_end.isoformat(),
            **children_tag(package),
        }
        numbers = {"rank_correlation": found.rank_correlation, "mean_shift": found.mean_shift}
        return register_version(
            registry, self.task.app, package, parameters=candidate.parameters, metrics=numbers, tags=tags, report=report
        )
