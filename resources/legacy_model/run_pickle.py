"""Answer lines of rows with the scores of a pickled model. Runs in the model's own environment: plain Python 3.6+.

Run as `VENV_PYTHON -I run_pickle.py MODEL.pkl`; the protocol is that of `resources.legacy_model.command`.
"""

# pyright: basic, reportMissingImports=false

import json
import sys
from typing import Any


def _model(path: str) -> Any:
    try:
        import joblib
    except ImportError:
        import pickle

        with open(path, "rb") as file:  # noqa: PTH123
            return pickle.load(file)  # noqa: S301 - a person chose to, in an environment of its own
    return joblib.load(path)


def _rows(model: Any, features: Any, rows: Any) -> Any:
    names = getattr(model, "feature_names_in_", None)
    if names is not None and list(names) != features:
        raise ValueError("the model was trained on the columns " + str(list(names)))
    if names is None and not any(isinstance(value, str) for row in rows for value in row):
        import numpy

        return numpy.array(rows, dtype=float)
    import pandas

    return pandas.DataFrame(rows, columns=features)


def _scores(model: Any, rows: Any) -> list:
    if hasattr(model, "predict_proba"):
        return model.predict_proba(rows).tolist()
    return model.predict(rows).tolist()


def main() -> None:
    """Read lines from stdin until its end; what the model prints goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    model = _model(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"id": asked["id"]}
        try:
            answer["scores"] = _scores(model, _rows(model, asked["features"], asked["rows"]))
        except Exception as error:  # noqa: BLE001 - a model can fail in any way
            answer["error"] = type(error).__name__ + ": " + str(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
