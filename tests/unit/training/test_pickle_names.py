"""Names in pickles are found without loading them: in 20 files that would run a command, and in honest ones."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.legacy.pickle_names import pickle_names

MARK = Path("/dev/shm/tessera-pickle-was-run")  # noqa: S108 - never made
COMMAND = f"touch {MARK}"


class Runs:
    """Runs a command where it is loaded."""

    def __init__(self, function: Any = os.system, *arguments: Any) -> None:
        self._call = function, (arguments or (COMMAND,))

    def __reduce__(self) -> Any:
        return self._call


def written(value: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **how)
    return file.getvalue()


def archived(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("README", "weights")
        archive.writestr(name, content)
    return file.getvalue()


def array_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Runs()], dtype=object), allow_pickle=True)
    return file.getvalue()


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"\x8c" + struct.pack("<B", len(encoded)) + encoded


#: The name comes from the memo: module and name are put there first, among other values, and taken out in turn.
BY_MEMO = (
    b"\x80\x04" + text("system") + b"\x940" + text("posix") + b"\x940"
    + text("numpy") + b"\x940" + b"h\x01h\x00\x93" + text(COMMAND) + b"\x85R."
)  # fmt: skip
#: Module and name are exchanged on the stack by a tuple that is thrown away.
BY_POP = b"\x80\x04" + text("posix") + text("system") + text("x") + b"0\x93" + text(COMMAND) + b"\x85R."
BY_DUP = b"\x80\x04" + text("posix") + b"20" + text("system") + b"\x93" + text(COMMAND) + b"\x85R."
BY_INST = b"(S'" + COMMAND.encode() + b"'\niposix\nsystem\n."
BY_OBJ = b"(cposix\nsystem\nS'" + COMMAND.encode() + b"'\no."
BY_EXTENSION = b"\x80\x02\x82\x07)R."
COMPUTED = b"\x80\x04cbuiltins\nstr\n" + text("posix") + b"\x85R" + text("system") + b"\x93" + text("x") + b"\x85R."

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "protocol 0": (partial(pickle.dumps, Runs(), 0), "posix.system"),
    "protocol 2": (partial(pickle.dumps, Runs(), 2), "posix.system"),
    "protocol 5": (partial(pickle.dumps, Runs(), 5), "posix.system"),
    "memo": (lambda: BY_MEMO, "posix.system"),
    "pop": (lambda: BY_POP, "posix.system"),
    "dup": (lambda: BY_DUP, "posix.system"),
    "INST": (lambda: BY_INST, "posix.system"),
    "OBJ": (lambda: BY_OBJ, "posix.system"),
    "extension": (lambda: BY_EXTENSION, "copyreg.extension 7"),
    "computed name": (lambda: COMPUTED, "(a name that is computed)"),
    "eval": (lambda: pickle.dumps(Runs(eval, "1")), "builtins.eval"),
    "getattr": (lambda: pickle.dumps(Runs(getattr, "a", "upper")), "builtins.getattr"),
    "behind an array": (lambda: written({"a": np.arange(4000.0), "b": Runs()}), "posix.system"),
    "inside an array": (lambda: written(np.array([1, Runs()], dtype=object)), "posix.system"),
    "joblib, compressed": (lambda: written([np.arange(9.0), Runs()], compress=3), "posix.system"),
    "npy": (array_file, "posix.system"),
    "zip": (lambda: archived("archive/data.pkl", pickle.dumps(Runs())), "posix.system"),
    "gzip in zip": (lambda: archived("a.gz", gzip.compress(pickle.dumps(Runs()))), "posix.system"),
    "bz2 of xz": (lambda: bz2.compress(lzma.compress(pickle.dumps(Runs()))), "posix.system"),
    "second pickle": (lambda: pickle.dumps([1]) + pickle.dumps(Runs()), "posix.system"),
    "second pickle, compressed": (lambda: zlib.compress(pickle.dumps({}) + pickle.dumps(Runs(), 0)), "posix.system"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_a_hostile_file_would_import_is_named_and_not_run(case: str) -> None:
    make, name = HOSTILE[case]
    content = make()
    found = pickle_names(content)
    assert found is not None
    assert name in found.names
    assert name in found.strange
    assert not MARK.exists()


def test_an_honest_model_names_nothing_strange_however_it_was_written() -> None:
    model = LogisticRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 1.0]]), [0, 1, 1])
    for content in (
        *(pickle.dumps(model, protocol) for protocol in range(6)),
        written(model),
        written(model, compress=3),
    ):
        found = pickle_names(content)
        assert found is not None
        assert "sklearn.linear_model._logistic.LogisticRegression" in found.names
        assert (found.strange, found.unread) == ((), ())


def test_a_class_of_ones_own_is_strange_also_where_it_hides_below_a_known_package() -> None:
    content = pickle.dumps(Runs(print, "x")).replace(b"builtins", b"sklearns")
    found = pickle_names(content)
    assert found is not None
    assert found.strange == ("sklearns.print",)
    runner = pickle_names(b"csklearn.utils\nload\n.")
    assert runner is not None
    assert runner.strange == ("sklearn.utils.load",)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"a,b,c\n1,2,3\n", b'{"learner": {}}', b"\x08\x09ONNX", b"tree\nversion=v4\n", b"{L\x00\x00"],
)
def test_other_files_are_no_pickles(content: bytes) -> None:
    assert pickle_names(content) is None


def test_what_cannot_be_followed_is_said() -> None:
    honest = pickle.dumps(list(range(500)))
    for content in (honest[:-20], gzip.compress(honest)[:-9], archived("a.pkl", honest)[:-30], b"\x80\x04garbage"):
        found = pickle_names(content)
        assert found is not None
        assert found.unread


def test_a_bomb_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.legacy.pickle_names._MOST_BYTES", 1 << 20)
    for content in (gzip.compress(bytes(1 << 23)), archived("a", bytes(1 << 23)), zlib.compress(bytes(1 << 23))):
        found = pickle_names(content)
        assert found is not None
        assert "more than 1 MB" in found.unread[0]


def test_reading_names_imports_and_opens_nothing() -> None:
    contents = [make() for make, _ in HOSTILE.values()]
    seen: list[str] = []
    watching = True

    def hook(event: str, _: Any) -> None:
        if watching and event in ("import", "pickle.find_class", "os.system", "open", "exec", "subprocess.Popen"):
            seen.append(event)

    for content in contents[:1]:
        pickle_names(content)
    sys.addaudithook(hook)
    try:
        for content in contents:
            pickle_names(content)
    finally:
        watching = False
    assert seen == []
