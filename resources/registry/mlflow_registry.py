"""Model versions in MLflow: on SQLite and a local folder without any server, or on a tracking server."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError, choose_from
from models.ledger import LedgerEntry
from models.training.package_files import safe_files
from resources.health import Health
from resources.registry.ledgered import LedgeredRegistry
from resources.registry.mlflow_connection import MLflowConnection, sqlite_uri
from resources.registry.mlflow_model import PACKAGE, write_mlflow_model
from resources.registry.port import VersionInfo

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_ALIAS = "champion"
#: Tags of ours: on a registered model, a version and a run. Everything else in a version's tags is the caller's.
_HEAD, _OURS, _FILE, _MODEL_ID = "tessera.ledger_head", "tessera.", "tessera.sha256/", "tessera.model_id"
_REGISTRATION = "tessera.registration"
_PAGE = 1000
#: MLflow takes at most this many parameters in one call, and this long a description.
_BATCH, _DESCRIPTION_CHARACTERS = 100, 5000

_LOGGER = logging.getLogger(__name__)


class MLflowRegistryConfig(dg.Config):
    """Models in MLflow. With `path` alone: SQLite and a folder, no server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mlflow"] = "mlflow"
    path: str = Field(
        description="Folder of ledger, locks and cache, and, without `tracking_uri`, of the database and the artifacts."
        " Every process that promotes must use the same folder."
    )
    tracking_uri: str = Field(
        default="", description="MLflow server (http://host:5000) or database; empty: SQLite under `path`."
    )
    artifact_location: str = Field(
        default="",
        description="Where new applications keep artifacts, e.g. s3://bucket/mlflow; empty: under `path`, or where the"
        " server decides.",
    )
    trusted_packages: list[str] = Field(
        default=[],
        description="Python packages of third parties whose models may be loaded, e.g. of a trainer that candidates"
        " name by its dotted path. Keep a name here as long as a version of its models may serve.",
    )
    lock_timeout_seconds: float = Field(default=600, gt=0, description="A promotion waits this long for another one.")

    def open(self) -> MLflowRegistry:
        """Return the registry; MLflow is imported, and its database made, only when something needs it.

        Raises:
            TesseraError: a database without a place for artifacts.
        """
        server = urlsplit(self.tracking_uri).scheme in ("http", "https")
        if self.tracking_uri and not server and not self.artifact_location:
            raise TesseraError(
                "`registry.tracking_uri` in stack.yaml is a database, and no `artifact_location` is given.",
                expected="a place for the artifacts, which a database alone does not have",
                todo="Add `artifact_location`, for example s3://bucket/mlflow or a file:// address.",
            )
        folder = Path(self.path).absolute()
        artifacts = self.artifact_location or ("" if server else (folder / "artifacts").as_uri())
        registry = MLflowRegistry(
            folder, self.tracking_uri.rstrip("/"), artifacts.rstrip("/"), lock_timeout_seconds=self.lock_timeout_seconds
        )
        registry.trusted_packages = tuple(self.trusted_packages)
        return registry


@dataclass(frozen=True)
class _Registration:
    """Data that one call of `register` passes to MLflow."""

    app: str
    package: Path
    files: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    report: str


class MLflowRegistry(LedgeredRegistry):
    """One MLflow experiment and one registered model per application, the alias `champion` following our ledger.

    Args:
        folder: of ledger, locks and cache.
        tracking_uri: a server or a database; empty: our own SQLite file in `folder`.
        artifacts: address below which each new application keeps its artifacts; empty: the server decides.
        lock_timeout_seconds: how long to wait for another promotion or registration.
    """

    def __init__(self, folder: Path, tracking_uri: str, artifacts: str, *, lock_timeout_seconds: float) -> None:
        super().__init__(folder, lock_timeout_seconds=lock_timeout_seconds)
        database = None if tracking_uri else folder / "mlflow.db"
        uri = sqlite_uri(database) if database else tracking_uri
        self._mlflow = MLflowConnection(uri, lambda: self._held("initialise.lock"), database=database)
        self._artifacts = artifacts

    @override
    def register(
        self,
        app: str,
        package: Path,
        *,
        parameters: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        report: str,
    ) -> str:
        registration = _Registration(
            app, package, safe_files(package, self.trusted_packages), parameters, metrics, tags, report
        )
        self._catch_up_if_free(app)
        with self._mlflow.answers(f"register a version of {app}") as client, self._held(f"{app}.register.lock"):
            experiment = self._experiment(client, app)
            _end_killed_runs(client, experiment)
            run_id = client.create_run(experiment, tags={_REGISTRATION: "true"}, run_name=app).info.run_id
            outcome = "FAILED"
            try:
                version = self._fill(client, experiment, run_id, registration)
                outcome = "FINISHED"
            finally:
                client.set_terminated(run_id, outcome)
        return version

    @override
    def versions(self, app: str) -> Sequence[VersionInfo]:
        self._catch_up_if_free(app)
        champion = self.champion(app)
        with self._mlflow.answers(f"list the versions of {app}") as client:
            found = _search(client, app)
            metrics = _metrics(client, app) if found else {}
        return [_info(name, found[name], champion, metrics.get(str(found[name].run_id), {})) for name in found]

    @override
    def retag(self, app: str, version: str, tags: Mapping[str, str]) -> bool:
        self._version(app, version)
        with self._mlflow.answers(f"tag version {version} of {app}") as client:
            for name, value in tags.items():
                client.set_model_version_tag(app, version, name, value)
        return True

    @override
    def damage(self) -> str:
        return self._mlflow.damage()

    @override
    def check(self) -> Health:
        try:
            with self._mlflow.answers("answer") as client:
                models = [model.name for model in client.search_registered_models(max_results=_PAGE)]
            for app in models:
                if (champion := self.champion(app)) is not None:
                    self._version(app, champion)
                self._catch_up_if_free(app)
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        torn = [path.name for app in models for path in self._ledger_file(app).torn()]
        aside = f"; cut off by crashes and kept: {', '.join(torn)}" if torn else ""
        return Health(True, f"MLflow at {self._mlflow.shown}, models: {', '.join(models) or 'none yet'}{aside}")

    @override
    def _registered_files(self, app: str, version: str) -> Mapping[str, str]:
        tags = self._version(app, version).tags
        return {key.removeprefix(_FILE): value for key, value in tags.items() if key.startswith(_FILE)}

    @override
    def _tags(self, app: str, version: str) -> Mapping[str, str]:
        return _tags_of_caller(self._version(app, version))

    @override
    def _download(self, app: str, version: str, folder: Path) -> None:
        model_id = self._version(app, version).tags[_MODEL_ID]
        with self._mlflow.answers(f"hand out version {version} of {app}") as client, TemporaryDirectory() as place:
            from mlflow.artifacts import download_artifacts

            source = f"{client.get_logged_model(model_id).artifact_location}/{PACKAGE}"
            found = download_artifacts(artifact_uri=source, dst_path=place, tracking_uri=self._mlflow.uri)
            shutil.copytree(found, folder, dirs_exist_ok=True)

    @override
    def _follow(self, app: str, ledger: Sequence[LedgerEntry], head: str) -> None:
        with self._mlflow.answers(f"move the alias of {app}") as client:
            model = next(iter(client.search_registered_models(f"name = '{app}'")), None)
            remembered = model.tags.get(_HEAD, "") if model else ""
            before = ledger[-1].previous if ledger else ""
            if remembered not in (head, before) or (model is None and ledger):
                raise TesseraError(
                    f"The ledger of {app} and MLflow do not belong together: MLflow remembers another last line.",
                    expected="a ledger that only ever grew, beside its own MLflow",
                    todo=f"Restore {self._folder} as a whole from a backup; until then no model is promoted.",
                )
            if model is None:
                return
            _point(client, model, ledger[-1].to_version if ledger else None, by_hand=remembered == head)
            if remembered != head:
                client.set_registered_model_tag(app, _HEAD, head)

    def _version(self, app: str, version: str) -> ModelVersion:
        with self._mlflow.answers(f"look up {app}") as client:
            found = _search(client, app)
        if version not in found:
            raise TesseraError(
                f"{app} has no version {version!r}.",
                expected=choose_from(version, found),
                todo=f"See `tessera models {app}`.",
            )
        return found[version]

    def _experiment(self, client: MlflowClient, app: str) -> str:
        """Id of the application's experiment; it and the registered model are made by the first registration."""
        place = f"{self._artifacts}/{app}" if self._artifacts else None
        if not client.search_registered_models(f"name = '{app}'"):
            client.create_registered_model(app, description=f"Models of {app}. Its champion is moved by Tessera only.")
        experiment = client.get_experiment_by_name(app)
        if experiment is None:
            return client.create_experiment(app, artifact_location=place)
        if place is not None and experiment.artifact_location != place:
            raise TesseraError(
                f"The experiment {app!r} keeps its artifacts in {experiment.artifact_location}.",
                expected=f"{place}, as configured; MLflow cannot move them",
                todo="Move the folder back, set `artifact_location` to the old place, or start with an empty `path`.",
            )
        return experiment.experiment_id

    def _fill(self, client: MlflowClient, experiment: str, run_id: str, registration: _Registration) -> str:
        """Return the version's number. It is created last: until then a killed registration left no version at all."""
        app, tags = registration.app, dict(registration.tags)
        model_id = client.create_logged_model(experiment, app, run_id, tags, dict(registration.parameters)).model_id
        _log(client, run_id, model_id, registration)
        with TemporaryDirectory() as place:
            write_mlflow_model(Path(place), registration.package, run_id=run_id, model_id=model_id)
            client.log_model_artifacts(model_id, place)
        location = client.finalize_logged_model(model_id, "READY").artifact_location
        fits = len(registration.report) <= _DESCRIPTION_CHARACTERS
        sums = {_FILE + name: digest for name, digest in registration.files.items()}
        version = client.create_model_version(
            app,
            # A server resolves models:/ itself; in-process, MLflow would resolve it with the process-wide address.
            f"models:/{model_id}" if self._mlflow.is_server else location,
            run_id,
            {**tags, **sums, _MODEL_ID: model_id},
            description=registration.report if fits else "The gate report is `report.md` of the run.",
            model_id=model_id,
        )
        link = [{"name": app, "version": version.version}]
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(link)})
        return str(version.version)


def _log(client: MlflowClient, run_id: str, model_id: str, registration: _Registration) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    numbers = registration.metrics.items()
    metrics = [Metric(name, value, now, 0, model_id=model_id, run_id=run_id) for name, value in numbers]
    client.log_batch(run_id, metrics, tags=[RunTag(name, value) for name, value in registration.tags.items()])
    params = [Param(name, value) for name, value in registration.parameters.items()]
    for start in range(0, len(params), _BATCH):
        client.log_batch(run_id, params=params[start : start + _BATCH])
    client.log_text(run_id, registration.report, "report.md")


def _end_killed_runs(client: MlflowClient, experiment: str) -> None:
    """No other process registers at this moment, so a run of ours that is still open was killed."""
    for run in client.search_runs([experiment], f"attributes.status = 'RUNNING' and tags.`{_REGISTRATION}` = 'true'"):
        client.set_terminated(run.info.run_id, "KILLED")


def _point(client: MlflowClient, model: RegisteredModel, wanted: str | None, *, by_hand: bool) -> None:
    """Point the alias at `wanted`. A version deleted in MLflow cannot be named; `check` reports it."""
    named = str(model.aliases[_ALIAS]) if _ALIAS in model.aliases else None
    if named == wanted or (wanted is not None and wanted not in _search(client, model.name)):
        return
    if by_hand:
        _LOGGER.warning("The alias champion of %s was moved by hand to %s; it is put back.", model.name, named)
    if wanted is None:
        client.delete_registered_model_alias(model.name, _ALIAS)
    else:
        client.set_registered_model_alias(model.name, _ALIAS, wanted)


def _search(client: MlflowClient, app: str) -> dict[str, ModelVersion]:
    """All versions by number, newest first. MLflow leaves their aliases empty here, always."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{app}'", _PAGE, page_token=token)
        found += page
        token = page.token or None
        if token is None:
            break
    ordered = sorted(found, key=lambda version: int(version.version), reverse=True)
    return {str(version.version): version for version in ordered}


def _metrics(client: MlflowClient, app: str) -> dict[str, dict[str, float]]:
    """Run id to metrics, of all runs of the application."""
    experiment = client.get_experiment_by_name(app)
    found: dict[str, dict[str, float]] = {}
    token: str | None = None
    while experiment is not None:
        page = client.search_runs([experiment.experiment_id], max_results=_PAGE, page_token=token)
        found.update({run.info.run_id: run.data.metrics for run in page})
        token = page.token or None
        if token is None:
            break
    return found


def _info(name: str, version: ModelVersion, champion: str | None, metrics: Mapping[str, float]) -> VersionInfo:
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return VersionInfo(name, created.isoformat(), name == champion, dict(metrics), _tags_of_caller(version))


def _tags_of_caller(version: ModelVersion) -> dict[str, str]:
    return {key: value for key, value in version.tags.items() if not key.startswith(_OURS)}
