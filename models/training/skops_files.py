"""scikit-learn models in files that run no code: skops, read by our own list of types.

skops itself trusts every type of numpy, scipy and scikit-learn. We read only the types our trainers write, and write
the same bytes for the same model (skops names its parts by memory addresses and stamps them with the time).
"""

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, cast

from models.errors import TesseraError

# skops has no static types.
# pyright: basic

#: Every type that a file may name; anything else, whatever skops thinks of it, is refused before it is built.
ALLOWED_TYPES = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.dtype",
        "numpy.float32",
        "numpy.float64",
        "numpy.int64",
        "numpy.ndarray",
        "numpy.random._generator.Generator",
        "numpy.uint64",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._label.LabelEncoder",
    }
)
_ALLOWED_LOADERS = frozenset(
    {
        "DictNode",
        "DTypeNode",
        "JsonNode",
        "ListNode",
        "LossNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomGeneratorNode",
        "TupleNode",
        "TypeNode",
        "CachedNode",
    }
)
_SCHEMA = "schema.json"
#: Of all parts of a file, unpacked: the models of our trainers take a few megabytes.
MOST_BYTES = 2**30


def write_skops(model: object, file: Path) -> None:
    """`file` holds `model`; the same model gives the same bytes, in any process and at any time."""
    skops = skops_io()
    with zipfile.ZipFile(io.BytesIO(skops.dumps(model))) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        names: dict[str, str] = {}
        numbers: dict[int, int] = {}
        for node in _nodes(schema):
            _renumber(node, numbers, names)
        parts = {new: archive.read(old) for old, new in names.items()}
    parts[_SCHEMA] = json.dumps(schema).encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in parts.items():
            written.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def read_skops(file: Path) -> object:
    """Return the model in `file`.

    Raises:
        TesseraError: it is no skops file, or it names a type that our trainers never write.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            large = sum(part.file_size for part in archive.infolist()) > MOST_BYTES
            schema = None if large else json.loads(archive.read(_SCHEMA))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError) as error:
        raise _no_skops(file, str(error)) from error
    if not isinstance(schema, dict):
        raise _no_skops(file, f"it is larger than {MOST_BYTES >> 20} MB unpacked" if large else "it describes no model")
    strange = sorted(_strange(schema))
    if strange:
        raise TesseraError(f"{file} names the types {strange}.", expected="only types on our list", todo=_TODO)
    try:
        return skops_io().load(file, trusted=sorted(ALLOWED_TYPES))
    except Exception as error:  # a schema that was tampered with fails anywhere in skops, numpy or scikit-learn
        raise _no_skops(file, f"{type(error).__name__}: {error}") from error


def _no_skops(file: Path, why: str) -> TesseraError:
    return TesseraError(f"{file} is no skops file: {why}.", expected="a model that a trainer wrote", todo=_TODO)


class _TrustedTypes(ModuleType):
    """skops' own list of types that are safe to read, as far as our models hold them: plain values and arrays.

    skops makes the list when it is imported: it imports all of scikit-learn and searches all modules for every ufunc
    of numpy and scipy, which takes longer than training. What is on our list needs no place on that of skops.
    """

    PRIMITIVE_TYPE_NAMES: ClassVar = [f"builtins.{one.__name__}" for one in (int, float, str, bool)]
    CONTAINER_TYPE_NAMES: ClassVar = [f"builtins.{one.__name__}" for one in (list, set, map, tuple)]
    NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES: ClassVar = ["numpy.random.PCG64"]

    def __getattr__(self, name: str) -> list[str]:
        if name.startswith("__"):
            raise AttributeError(name)
        return []


def skops_io() -> ModuleType:
    """Import `skops.io` without its list of trusted types, unless it was imported with that list before."""
    if "skops.io" not in sys.modules:
        sys.modules[_TRUSTED_TYPES] = _TrustedTypes(_TRUSTED_TYPES)
    return importlib.import_module("skops.io")


_TRUSTED_TYPES = "skops.io._trusted_types"
_TODO = "Do not load it. Make an earlier version champion with `tessera rollback`, and find out who wrote this file."


def _nodes(value: object) -> Iterator[dict[str, Any]]:
    """Every object of the schema that describes a type, outermost first."""
    if isinstance(value, dict):
        mapping = cast(dict[str, Any], value)
        if "__class__" in mapping or "__loader__" in mapping:
            yield mapping
        for child in mapping.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in cast(list[Any], value):
            yield from _nodes(child)


def _strange(schema: object) -> set[str]:
    types = {f"{node.get('__module__')}.{node.get('__class__')}" for node in _nodes(schema)}
    loaders = {str(node.get("__loader__")) for node in _nodes(schema)}
    return (types - ALLOWED_TYPES) | (loaders - _ALLOWED_LOADERS)


def _renumber(node: dict[str, Any], numbers: dict[int, int], names: dict[str, str]) -> None:
    """Memory addresses become numbers in order of appearance; plain values need none, for they are never shared."""
    if node.get("__loader__") == "JsonNode":
        node.pop("__id__", None)
    elif "__id__" in node:
        node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    if "file" in node:
        node["file"] = names.setdefault(node["file"], f"{len(names) + 1}.npy")
