"""The champion of an application whose model is a composition: registered as one version, promoted by the gate.

An application brings a `ComposedCandidate`, which it has trained and evaluated; nothing here knows its name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import dagster as dg

from assets.stages import metadata_keys as keys
from assets.stages.champion_result import champion_result, shown
from assets.stages.other_release import this_release, why_outdated
from assets.stages.packaging import register_version
from assets.stages.promotion import make_champion
from assets.stages.training import TrainingRows, champion_stays, kept_champion
from models.gate_verdict import GateVerdict
from models.ledger import PASSED, STOPPED
from models.tracing import traced
from resources.registry.port import Registry
from resources.stack.ports import RegistryResource

if TYPE_CHECKING:
    from models.compose.package import Composition
    from models.gates.report import GateReport

R = TypeVar("R", bound=TrainingRows)


@dataclass(frozen=True)
class ComposedCandidate:
    """A trained composition and the gate's report on it.

    Attributes:
        name: of the candidate, e.g. `router`.
        composition: its parts over the resources of the rehearsal.
        golden: records that it must answer as when it was saved, before it is promoted and before it scores.
        rehearsal: name -> what its parts need when they answer golden records.
        report: of the gate.
        metrics: on the hold-out.
        holdout: the hold-out, in words.
        parameters: what was chosen, for the registry.
        extras: file name -> text of further files of the package.
        shown: further metadata of the candidate for Dagster.
    """

    name: str
    composition: Composition
    golden: Sequence[Mapping[str, Any]]
    rehearsal: Mapping[str, Any]
    report: GateReport
    metrics: Mapping[str, float]
    holdout: str
    parameters: Mapping[str, str]
    extras: Mapping[str, str]
    shown: Mapping[str, Any]

    def says(self, check: str) -> str:
        """Return the words of one check of the gate."""
        return next((found.says for found in self.report.checks if found.name == check), "")

    def metadata(self, version: str) -> dict[str, Any]:
        """Return the metadata of the candidate: numbers that plot, the gate report, the steps of the composition."""
        from models.compose.outline import outline

        return {
            **shown(self.metrics),
            keys.KIND: self.name,
            keys.VERSION: version,
            keys.HOLDOUT: self.holdout,
            keys.AGAINST_CHAMPION: self.says("champion") or "there is no champion yet",
            keys.GATE_REPORT: dg.MetadataValue.md(self.report.markdown()),
            keys.COMPOSITION: dg.MetadataValue.md(outline(self.composition.step())),
            **self.shown,
        }


@dataclass(frozen=True)
class ComposedChampionRun:
    """A run that keeps or replaces the champion of an application, which is a composition.

    Attributes:
        context: of the step.
        app: its name.
        train: `if_no_champion`, or `always`.
        registry: opened at once.
        rehearsal: makes what the parts of the champion need when they answer golden records: one that this release
            cannot read, or that answers otherwise, is trained anew.
        due: returns a further reason why the champion (its version) must be trained anew, e.g. another embedder; "":
            none.
    """

    context: dg.AssetExecutionContext
    app: str
    train: Literal["if_no_champion", "always"]
    registry: RegistryResource
    rehearsal: Callable[[], Mapping[str, Any]]
    due: Callable[[Registry, str], str] = lambda *_: ""

    @property
    def day(self) -> date:
        """The partition of the run."""
        return date.fromisoformat(self.context.partition_key)

    def results(
        self, rows: Callable[[], R], candidate: Callable[[R, Registry], ComposedCandidate]
    ) -> Iterator[dg.MaterializeResult]:
        """Train, evaluate and promote, or keep the champion where no training is due.

        Args:
            rows: makes the training set.
            candidate: trains and evaluates a composition on it.
        """
        models = self.registry.open()
        with models.lock(self.app):
            champion = models.champion(self.app)
            because = self._because(models, champion) if champion is not None else ""
            if self.train == "if_no_champion" and champion is not None:
                kept = kept_champion(self.app, models, because, self.day)
                if kept is not None:
                    yield kept
                    return
            self.context.log.info(f"Training: {because or ('asked for' if champion else 'there is no champion')}.")
            found = rows()
            yield dg.MaterializeResult(asset_key=[self.app, "training_set"], metadata=found.metadata())
            made = candidate(found, models)
            version = register_composition(self.app, made, models, self.day)
            yield dg.MaterializeResult(asset_key=[self.app, "candidate"], metadata=made.metadata(version))
            by = {"run_id": self.context.run.run_id, "who": self.context.run.job_name, "because": because}
            yield promote_or_keep(self.app, made, version, models, self.day, **by)

    def _because(self, registry: Registry, champion: str) -> str:
        """Return why the champion must be trained anew; "" if it need not."""
        from models.compose.package import golden_answers, load_composition

        def read(folder: Path) -> int:
            trusted = registry.trusted_packages
            return golden_answers(load_composition(folder, resources=self.rehearsal(), trusted=trusted))

        return self.due(registry, champion) or why_outdated(registry, self.app, champion, read)


@traced("register the composition")
def register_composition(app: str, made: ComposedCandidate, registry: Registry, as_of: date) -> str:
    """Return the version of the package that holds the composition, its parts and prompts, and golden records."""
    from models.compose.package import save_composition
    from models.training.children import children_tag

    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        package = Path(place) / "package"
        save_composition(package, made.composition, made.golden, made.extras)
        tags = {"kind": "composition", "candidate": made.name, "as_of": as_of.isoformat(), **children_tag(package)}
        verdict = PASSED if made.report.passed else f"{STOPPED} {', '.join(made.report.stopped_by)}"
        return register_version(
            registry,
            app,
            package,
            parameters=made.parameters,
            metrics=made.metrics,
            tags={**tags, "gate": verdict},
            report=made.report.markdown(),
        )


def promote_or_keep(
    app: str,
    made: ComposedCandidate,
    version: str,
    registry: Registry,
    as_of: date,
    *,
    run_id: str,
    who: str,
    because: str = "",
) -> dg.MaterializeResult:
    """Record the verdict; promote a version that passed, after it answered its golden records; return the champion.

    `because`: why the champion had to be trained anew; "" where that was asked for, or there was none.

    Raises:
        TesseraError: the gate is closed and there is no champion.
    """
    report = made.report
    reasons = {check.name: check.says for check in report.checks if not check.passed}
    registry.record_verdict(
        GateVerdict(
            app=app,
            day=as_of,
            at=datetime.now(UTC),
            run_id=run_id,
            version=version,
            candidate=made.name,
            checks=len(report.checks),
            reasons=reasons,
            because=because,
            release=this_release(),
        )
    )
    if report.passed:
        why = f"{made.name} passed the gate on {made.holdout}: " + "; ".join(check.says for check in report.checks)
        why += f"; trained because {because}" if because else ""
        further: dict[str, Any] = {"metrics": made.metrics, "resources": made.rehearsal}
        make_champion(registry, app, version, action="promote", why=why, who=who, run_id=run_id, **further)
        return champion_result(app, registry, f"promoted: {len(report.checks)} checks passed", report.checks, because)
    return champion_stays(app, registry, f"version {version}", report, f": {'; '.join(reasons.values())}", because)
