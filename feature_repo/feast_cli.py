"""Definitions that the `feast` command finds in this folder, over the lake of one home.

    cd feature_repo && feast apply                                                # the default home, ../var
    FEAST_FS_YAML_FILE_PATH=/path/to/home/feast/feature_store.yaml feast apply    # any other home

Feast expands `${NAME}` in its YAML but knows no defaults, so feature_store.yaml names the default home, and the feature
store writes a `feature_store.yaml` with absolute paths into every home; the `tables` in it is the lake. (`feast apply`
warns as long as a table does not exist.) Only the `feast` command imports this file.
"""

import os
from pathlib import Path

import yaml

from feature_repo.definitions import definitions

_HERE = Path(__file__).resolve().parent
_YAML = Path(os.environ.get("FEAST_FS_YAML_FILE_PATH", _HERE / "feature_store.yaml")).resolve()
_TABLES = str(yaml.safe_load(_YAML.read_text())["tables"])
if _YAML.parent == _HERE:
    (_HERE.parent / "var" / "feast").mkdir(parents=True, exist_ok=True)

for _one in definitions(_TABLES if "://" in _TABLES else (_YAML.parent / _TABLES).resolve()):
    globals()[_one.name] = _one  # where `feast` looks for it
