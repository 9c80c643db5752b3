"""Names that a pickle would import, read without loading it: also inside archives, arrays and further pickles."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

#: More than this, unpacked, is not looked through.
_MOST_BYTES: Final = 512 * 2**20
_DEEPEST: Final = 8
_MOST_OPERATIONS: Final = 20_000_000
#: Packages whose classes an honest model of the usual libraries is made of.
KNOWN_PACKAGES: Final = frozenset({"sklearn", "scipy", "xgboost", "lightgbm", "catboost", "imblearn"})
#: Names of other packages that such pickles need, and that do nothing but hold or rebuild values.
KNOWN_NAMES: Final = frozenset(
    {
        *(
            f"builtins.{name}"
            for name in ("bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list")
        ),
        *(f"builtins.{name}" for name in ("object", "range", "set", "slice", "str", "tuple", "bool")),
        *(f"__builtin__.{name}" for name in ("object", "set", "frozenset", "list", "dict", "int", "long", "float")),
        *("copy_reg._reconstructor", "copyreg._reconstructor", "collections.OrderedDict", "collections.defaultdict"),
        *("_codecs.encode", "datetime.datetime", "datetime.date", "functools.partial"),
        *("joblib.numpy_pickle.NumpyArrayWrapper", "numpy.dtype", "numpy.ndarray"),
        *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
        *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy._core.numeric._frombuffer"),
        *("numpy.core.numeric._frombuffer", "numpy.random._pickle.__randomstate_ctor"),
        *("numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor"),
        *("numpy.random._mt19937.MT19937", "numpy.random._pcg64.PCG64", "numpy.random.bit_generator.SeedSequence"),
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
        *(f"numpy.{name}" for name in ("bool", "bool_", "float32", "float64", "int32", "int64", "str_", "uint8")),
    }
)
#: Names below known packages that run what they are given.
_RUNNERS = re.compile(r"(^|\.)(exec|eval|system|popen|import_module|__import__|getattr|load|loads|run|call)$")
_WRAPPER = "NumpyArrayWrapper"


@dataclass(frozen=True)
class PickleNames:
    """Names that a file would import if it were loaded.

    Attributes:
        names: `module.name` of every global, ascending.
        unread: parts that could not be followed, in words: they may name more.
    """

    names: tuple[str, ...]
    unread: tuple[str, ...] = ()

    @property
    def strange(self) -> tuple[str, ...]:
        """Return the names that an honest model of the usual libraries does not need."""
        return tuple(name for name in self.names if not _is_known(name))


def pickle_names(content: bytes) -> PickleNames | None:
    """Return the names in a file that is a pickle, or holds one; None if it is no pickle.

    Nothing is imported and nothing is called, whatever the file holds.
    """
    found = _Found()
    if not _look(content, found, 0):
        return None
    return PickleNames(tuple(sorted(found.names)), tuple(dict.fromkeys(found.unread)))


def _is_known(name: str) -> bool:
    package = name.partition(".")[0]
    return name in KNOWN_NAMES or (package in KNOWN_PACKAGES and not _RUNNERS.search(name))


@dataclass
class _Found:
    names: set[str] = field(default_factory=set[str])
    unread: list[str] = field(default_factory=list[str])
    operations: int = 0


@dataclass
class _Object:
    """A global, or what a call made of it."""

    name: str
    state: Any = None


class _Mark:
    pass


_COMPRESSED: Mapping[bytes, tuple[str, Callable[[io.BytesIO], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bz2", bz2.BZ2File),
    b"\xfd7zXZ": ("xz", lzma.LZMAFile),
    b"]\x00\x00": ("lzma", lzma.LZMAFile),
}


def _look(content: bytes, found: _Found, depth: int) -> bool:
    """Collect the names of a file; return False if it is no pickle and holds none."""
    if depth > _DEEPEST:
        found.unread.append(f"more than {_DEEPEST} files inside each other")
        return True
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _in_zip(content, found, depth)
    if content[:6] == b"\x93NUMPY":
        return _in_array(content, found, depth)
    for start, (kind, opened) in _COMPRESSED.items():
        if content.startswith(start):
            return _unpacked(kind, lambda opened=opened: opened(io.BytesIO(content)).read(_MOST_BYTES), found, depth)
    if content[:1] == b"\x78" and len(content) > 1 and int.from_bytes(content[:2]) % 31 == 0:
        return _unpacked("zlib", lambda: zlib.decompressobj().decompress(content, _MOST_BYTES), found, depth)
    return _in_pickle(content, found, depth)


def _unpacked(kind: str, read: Callable[[], bytes], found: _Found, depth: int) -> bool:
    try:
        content = read()
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        found.unread.append(f"a {kind} stream that is broken ({error})")
        return True
    if len(content) >= _MOST_BYTES:
        found.unread.append(f"a {kind} stream of more than {_MOST_BYTES >> 20} MB")
    return _look(content, found, depth + 1) or len(content) >= _MOST_BYTES


def _in_zip(content: bytes, found: _Found, depth: int) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > _MOST_BYTES:
                found.unread.append(f"an archive of more than {_MOST_BYTES >> 20} MB")
                return True
            looked = [_look(archive.read(part), found, depth + 1) for part in parts if not part.is_dir()]
            return any(looked)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error) as error:
        found.unread.append(f"an archive that is broken ({error})")
        return True


def _in_array(content: bytes, found: _Found, depth: int) -> bool:
    """Look into a .npy file: an array of objects is a pickle."""
    wide = content[6:7] != b"\x01"
    start = 12 if wide else 10
    size = int.from_bytes(content[8:start], "little")
    header = content[start : start + size]
    return b"O" in header and _in_pickle(content[start + size :], found, depth)


def _in_pickle(content: bytes, found: _Found, depth: int) -> bool:
    """Follow every pickle of the file, one after the other."""
    file, known = io.BytesIO(content), False
    while file.tell() < len(content):
        begin = file.tell()
        machine = _Machine(file, found, depth)
        if not machine.follow():
            is_pickle = known or machine.names_anything or content[begin : begin + 1] == b"\x80"
            if is_pickle:
                found.unread.append(f"bytes from {file.tell()} on, which are no pickle operations")
            return is_pickle
        known = True
    return known


class _Machine:
    """The pickle machine over values that stand for what would be made."""

    def __init__(self, file: io.BytesIO, found: _Found, depth: int) -> None:
        self._file, self._found, self._depth = file, found, depth
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.names_anything = False

    def follow(self) -> bool:
        """Follow until the end of this pickle; False if the bytes are none."""
        try:
            for opcode, argument, _ in pickletools.genops(self._file):
                self._found.operations += 1
                if self._found.operations > _MOST_OPERATIONS:
                    self._found.unread.append(f"more than {_MOST_OPERATIONS:,} operations")
                    return True
                self._do(opcode.name, argument)
        except (ValueError, IndexError, UnicodeDecodeError, OverflowError, struct.error, MemoryError, EOFError):
            return False
        return True

    def _do(self, name: str, argument: Any) -> None:
        step = _STEPS.get(name)
        if step is not None:
            step(self, argument)
        elif name not in ("PROTO", "FRAME", "STOP", "READONLY_BUFFER"):
            self._stack.append(argument)

    def named(self, name: str) -> None:
        self.names_anything = True
        self._found.names.add(name)
        self._stack.append(_Object(name))

    def global_(self, argument: Any) -> None:
        self.named(str(argument).replace(" ", ".", 1))

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if isinstance(name, str) and isinstance(module, str):
            self.named(f"{module}.{name}")
        else:
            self.named("(a name that is computed)")

    def inst(self, argument: Any) -> None:
        self.to_mark()
        self.global_(argument)

    def extension(self, argument: Any) -> None:
        self.named(f"copyreg.extension {argument}")

    def persistent(self, _: Any) -> None:
        self.named("(a persistent id)")

    def obj(self, _: Any) -> None:
        parts = self.to_mark()
        self._stack.append(_Object(_name_of(parts[0]) if parts else ""))

    def reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self._stack.append(_Object(_name_of(function), arguments))

    def newobj_ex(self, _: Any) -> None:
        self._pop()
        self.reduce(None)

    def build(self, _: Any) -> None:
        state = self._pop()
        top = self._stack[-1]
        if isinstance(top, _Object):
            if top.name.endswith(_WRAPPER) and isinstance(state, dict):
                self._skip_array(state)
            elif not top.name.endswith("dtype"):
                top.state = state

    def _skip_array(self, state: Mapping[Any, Any]) -> None:
        """Go behind the numbers of an array, which joblib writes between the operations."""
        kind, shape = state.get("dtype"), state.get("shape")
        code = kind.state[0] if isinstance(kind, _Object) and isinstance(kind.state, tuple) and kind.state else None
        if not isinstance(code, str) or not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
            self._found.unread.append("an array of a type that is not known")
            raise EOFError
        if state.get("numpy_array_alignment_bytes") is not None and not code.startswith("O"):
            self._file.read(int.from_bytes(self._file.read(1)))
        if code.startswith("O"):
            _Machine(self._file, self._found, self._depth + 1).follow()
            return
        try:
            size = np.dtype(code).itemsize
        except TypeError:
            raise EOFError from None
        for length in shape:
            size *= length
        self._file.seek(max(size, 0), io.SEEK_CUR)

    def collect(self, make: Callable[[list[Any]], Any]) -> None:
        self._stack.append(make(self.to_mark()))

    def tuple_of(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(values)))

    def set_items(self, pairs: list[Any]) -> None:
        top = self._stack[-1]
        if isinstance(top, dict):
            top.update({key: value for key, value in zip(pairs[::2], pairs[1::2], strict=False) if type(key) is str})

    def setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self.set_items([key, value])

    def mark(self, _: Any) -> None:
        self._stack.append(_Mark)

    def pop(self, _: Any) -> None:
        self._pop()

    def pop_mark(self, _: Any) -> None:
        self.to_mark()

    def dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def put(self, argument: Any) -> None:
        self._memo[int(argument)] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: Any) -> None:
        self._stack.append(self._memo.get(int(argument)))

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def _pop(self) -> Any:
        return self._stack.pop()

    def to_mark(self) -> list[Any]:
        found: list[Any] = []
        while (one := self._stack.pop()) is not _Mark:
            found.append(one)
        return found[::-1]


def _name_of(function: Any) -> str:
    return function.name if isinstance(function, _Object) else ""


def _dict(pairs: list[Any]) -> dict[str, Any]:
    return {key: value for key, value in zip(pairs[::2], pairs[1::2], strict=False) if type(key) is str}


_Step = Callable[[_Machine, Any], None]
_STEPS: Mapping[str, _Step] = {
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "INST": _Machine.inst,
    "OBJ": _Machine.obj,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _Machine.extension),
    "PERSID": _Machine.persistent,
    "BINPERSID": lambda machine, _: (machine.pop(None), machine.persistent(None))[0],
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.newobj_ex,
    "BUILD": _Machine.build,
    "EMPTY_TUPLE": lambda machine, _: machine.tuple_of(0),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": lambda machine, _: machine.collect(tuple),
    "LIST": lambda machine, _: machine.collect(list),
    "DICT": lambda machine, _: machine.collect(_dict),
    "FROZENSET": lambda machine, _: machine.collect(lambda _: ()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(()),
    "APPEND": _Machine.pop,
    "APPENDS": _Machine.pop_mark,
    "ADDITEMS": _Machine.pop_mark,
    "SETITEM": _Machine.setitem,
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.dup,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
}
