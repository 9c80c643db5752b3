"""`/v2/models/...`: the Open Inference Protocol, version 2, for the model of each application of the profile."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Body, FastAPI, Path, Request, Response
from pydantic_core import to_json

from assets.stages.app import App
from assets.stages.open_models import OpenModel, OpenModels
from assets.stages.operation import NotThere, WrongRequest
from models.compose.deadline import without_deadline
from models.compose.fields import Column
from models.errors import TesseraError, choose_from
from models.tensors import Tensor, read_tensor, tensor_of
from models.tracing import note, span
from pipelines.service.door import Door
from pipelines.service.errors import answers
from pipelines.service.inference_bodies import (
    EXAMPLE,
    EXAMPLE_ANSWER,
    EXAMPLE_MODEL,
    EXAMPLE_READY,
    EXAMPLE_SERVER,
    MOST_ROWS,
    GivenTensor,
    InferenceAsked,
    InferenceMade,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
)
from pipelines.service.rules import ANY, named_by, rule
from resources.account import on_account_of

_NAME, _VERSION = "model_name", "model_version"
_Name = Annotated[str, Path(max_length=200, description="Application whose model is asked for.")]
_Version = Annotated[str, Path(max_length=200, description="Version in the registry; without it, the champion.")]
#: Extensions of the protocol that a request may ask for and this server has not.
_UNSUPPORTED = ("binary_data", "binary_data_output", "binary_data_size", "classification", "shared_memory_region")


_Asked = Annotated[InferenceAsked, Body(openapi_examples={"example": {"value": EXAMPLE}})]


def add_inference(service: FastAPI, door: Door) -> None:
    """Add the routes; a model is opened when it is first asked for."""
    models = {app.name: _Models(door, app) for app in door.apps if app.scoring is not None}

    def named(name: str) -> _Models:
        if name not in models:
            raise NotThere(
                f"There is no model {name[:60]!r}.", expected=choose_from(name, models), todo="Correct the name."
            )
        return models[name]

    own_metadata = ServerMetadata(name="tessera", version=version("tessera"), extensions=[])

    async def server() -> ServerMetadata:
        return own_metadata

    async def metadata(model_name: _Name) -> ModelMetadata:
        return await named(model_name).metadata(None)

    async def metadata_of(model_name: _Name, model_version: _Version) -> ModelMetadata:
        return await named(model_name).metadata(model_version)

    async def ready(model_name: _Name) -> ModelReady:
        return await named(model_name).ready(None)

    async def ready_of(model_name: _Name, model_version: _Version) -> ModelReady:
        return await named(model_name).ready(model_version)

    async def infer(request: Request, model_name: _Name, asked: _Asked) -> Response:
        return await named(model_name).answer(request, None, asked)

    async def infer_of(request: Request, model_name: _Name, model_version: _Version, asked: _Asked) -> Response:
        return await named(model_name).answer(request, model_version, asked)

    model, pinned = f"/v2/models/{{{_NAME}}}", f"/v2/models/{{{_NAME}}}/versions/{{{_VERSION}}}"
    own = rule("viewer", named_by(_NAME))
    for path, endpoint, name, summary, example in (
        ("/v2", server, "server_metadata", "The server", EXAMPLE_SERVER),
        (model, metadata, "model_metadata", "Inputs and outputs of the champion", EXAMPLE_MODEL),
        (pinned, metadata_of, "model_version_metadata", "Inputs and outputs of a version", EXAMPLE_MODEL),
        (f"{model}/ready", ready, "model_ready", "The champion can answer", EXAMPLE_READY),
        (f"{pinned}/ready", ready_of, "model_version_ready", "A version can answer", EXAMPLE_READY),
        (f"{model}/infer", infer, "model_infer", "Answer rows with the champion", EXAMPLE_ANSWER),
        (f"{pinned}/infer", infer_of, "model_version_infer", "Answer rows with a version", EXAMPLE_ANSWER),
    ):
        about: dict[str, Any] = {"operation_id": name, "summary": summary, "tags": ["inference"]}
        about["openapi_extra"] = rule("viewer", ANY) if endpoint is server else own
        if example is EXAMPLE_ANSWER:
            about |= {"methods": ["POST"], "response_model": InferenceMade}
        service.add_api_route(path, endpoint, responses=answers(example), **about)


class _Models:
    """The models of one application, in a thread of their own."""

    def __init__(self, door: Door, app: App) -> None:
        self._door, self._app = door, app
        self._thread = door.thread(f"{app.name}-models")
        self._models: OpenModels | None = None

    async def metadata(self, version: str | None) -> ModelMetadata:
        """Return inputs and outputs of a version."""

        def found() -> ModelMetadata:
            model = self._opened().at(version)
            inputs = [tensor_of(name, kind) for name, kind in model.inputs.items()]
            return ModelMetadata.model_validate(
                {
                    "name": self._app.name,
                    "versions": self._opened().versions(),
                    "platform": model.platform,
                    "inputs": [_described(one) for one in inputs],
                    "outputs": [_described(one) for one in model.outputs],
                    "model_version": model.version,
                }
            )

        return await self._thread.run(found)

    async def ready(self, version: str | None) -> ModelReady:
        """Return that a version can answer, after it was opened."""
        model = await self._thread.run(lambda: self._opened().at(version))
        return ModelReady(name=self._app.name, ready=True, model_version=model.version)

    async def answer(self, request: Request, version: str | None, asked: InferenceAsked) -> Response:
        """Return the outputs of a version for the rows of a request; who is asked about is logged."""
        _check_extensions(asked)
        about = next((one.data for one in asked.inputs if one.name == self._app.contract.entity), ())
        if about:
            self._door.log_read(request, self._app.name, [str(one) for one in about if one])
        answer = await self._thread.run(lambda: self._answered(version, asked))
        return Response(answer, media_type="application/json")

    def _answered(self, version: str | None, asked: InferenceAsked) -> bytes:
        name = self._app.name
        with on_account_of(name), span(f"infer {name}", {"tessera.app": name}):
            model = self._opened().at(version)
            wanted = _wanted(model, asked)
            columns, rows = _columns(model, asked.inputs)
            values = model.predict(columns, rows)
            note(model_version=model.version, rows=rows)
        outputs = [{**_described(one), "shape": [rows, *one.shape[1:]], "data": values[one.name]} for one in wanted]
        answer = {"model_name": self._app.name, _VERSION: model.version, "outputs": outputs}
        return to_json(answer if asked.id is None else {**answer, "id": asked.id}, inf_nan_mode="null")

    def _opened(self) -> OpenModels:
        if self._models is None:
            scoring, settings = self._app.scoring, self._door.stack.settings
            assert scoring is not None  # noqa: S101 - for the type checker: others have no routes
            ports = self._thread.ports
            with without_deadline():
                self._models = OpenModels(scoring(settings, ports), ports.registry, settings)
        return self._models


def _columns(model: OpenModel, given: Sequence[GivenTensor]) -> tuple[Mapping[str, Column], int]:
    """Return the columns of a model's inputs, and their number of rows."""
    tensors = {one.name: one for one in given}
    if len(tensors) < len(given):
        raise _wrong("An input is given twice", "each input once", "Correct the names.")
    for name in tensors:
        if name not in model.inputs:
            raise _wrong(f"The model has no input {name!r}", choose_from(name, model.inputs), "Correct the name.")
    if missing := [name for name in model.inputs if name not in tensors]:
        raise _wrong(
            f"The input {missing[0]!r} is not given" + (f", nor are {len(missing) - 1} more" if missing[1:] else ""),
            "all inputs of the model's metadata",
            "Add it, with null where a value is missing.",
        )
    columns = {name: _read(name, kind, tensors[name]) for name, kind in model.inputs.items()}
    rows = {name: len(column) for name, column in columns.items()}
    if len(set(rows.values())) > 1:
        (least, few), (most, many) = (
            min(rows.items(), key=lambda one: one[1]),
            max(rows.items(), key=lambda one: one[1]),
        )
        raise _wrong(
            f"The input {least!r} has {few} rows, and {most!r} has {many}",
            "as many rows of each",
            "Correct the shapes.",
        )
    number = next(iter(rows.values()), 0)
    if not 0 < number <= MOST_ROWS:
        raise _wrong(f"{number:,} rows are given", f"1 to {MOST_ROWS:,}", "Send several requests.")
    return columns, number


def _read(name: str, kind: Any, given: GivenTensor) -> Column:
    try:
        return read_tensor(kind, given.datatype, given.shape, given.data)
    except TesseraError as error:
        raise _wrong(f"The input {name!r} {error.what}", error.expected, error.todo) from error


def _wanted(model: OpenModel, asked: InferenceAsked) -> Sequence[Tensor]:
    """Return the outputs that are asked for, in the order of the request."""
    known = {one.name: one for one in model.outputs}
    names = [one.name for one in asked.outputs] if asked.outputs else list(known)
    for name in names:
        if name not in known:
            raise _wrong(f"The model has no output {name!r}", choose_from(name, known), "Correct the name.")
    return [known[name] for name in dict.fromkeys(names)]


def _check_extensions(asked: InferenceAsked) -> None:
    for one in (asked, *asked.inputs, *(asked.outputs or ())):
        for name in one.parameters or ():
            if name.startswith("sequence_") or name in _UNSUPPORTED:
                raise _wrong(
                    f"The parameter {name!r} asks for an extension of the protocol",
                    "values as JSON: the server has no extensions (GET /v2)",
                    "Leave it out.",
                )


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _wrong(what: str, expected: str, todo: str) -> WrongRequest:
    return WrongRequest(f"{what}.", expected=expected, todo=todo)
