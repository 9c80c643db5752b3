"""What the `feast` command finds in this folder: the definitions over the data of one home.

    cd feature_repo && feast apply                                                # the default home, ../var/feast
    FEAST_FS_YAML_FILE_PATH=/path/to/home/feast/feature_store.yaml feast apply    # any other home

Feast expands `${NAME}` in its YAML but knows no defaults, so feature_store.yaml names the default home, and the feature
store writes a `feature_store.yaml` with absolute paths into every home. (`feast apply` warns that the files' path does
not exist: it takes the pattern for a file.) Only the `feast` command imports this file.
"""

import os
from pathlib import Path

from feature_repo.definitions import definitions

_YAML = os.environ.get("FEAST_FS_YAML_FILE_PATH")
_HOME = Path(_YAML).resolve().parent if _YAML else Path(__file__).resolve().parent.parent / "var" / "feast"
_HOME.mkdir(parents=True, exist_ok=True)

customer, churn_customer, churn_v1 = definitions(_HOME / "offline")
