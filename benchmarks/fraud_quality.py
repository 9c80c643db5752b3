"""Quality of fraud scores against the published table: one run of the fraud_training job on the published weeks.

Data and protocol: Le Borgne, Siblini, Lebichot, Bontempi (2022), Reproducible Machine Learning for Credit Card Fraud
Detection, chapter 5: trained on the payments of 2018-07-25 to 07-31, evaluated on those of 2018-08-08 to 08-14 without
the cards whose fraud was known by then. The model is the one that the job registers: chosen by cross-validated average
precision on the training week among the profile's trainers with their default settings, and passed by the gate.
Nothing was chosen on the evaluation week.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import replace_section
from resources.stack.loader import ROOT, load_stack

DAY = "2018-08-21"
#: AUC, average precision, card precision@100.
PUBLISHED = {
    "published: logistic regression": (0.871, 0.606, 0.291),
    "published: random forest": (0.867, 0.658, 0.287),
    "published: XGBoost": (0.862, 0.639, 0.273),
}
METRICS = ("auc", "average_precision", "precision_at_top_per_day")


def main() -> None:
    """Train in a fresh home and write the section."""
    with tempfile.TemporaryDirectory() as home:
        command = [str(Path(sys.executable).parent / "tessera"), "run", "fraud_training", "--date", DAY]
        environment = {**os.environ, "TESSERA_HOME": home, "TESSERA_PROFILE": "fraud-handbook"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        registry = load_stack(ROOT / "stack.yaml", "fraud-handbook", home, os.environ).open("registry")
        *_, version = registry.versions("fraud")  # the first: the one that the gate evaluated
    ours = tuple(version.metrics[name] for name in METRICS)
    rows = {**PUBLISHED, f"registered by the gate: {version.tags['kind']}": ours}
    lines = ["| model | ROC AUC | average precision | card precision@100 |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |" for name, values in rows.items()]
    best = [max(values[place] for values in PUBLISHED.values()) for place in range(3)]
    ahead = ", ".join(f"{mine - theirs:+.3f}" for mine, theirs in zip(ours, best, strict=True))
    text = [
        "## Fraud: quality beside the published models",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        *lines,
        "",
        f"Against the best of each column: {ahead}.",
    ]
    replace_section("fraud-quality", "\n".join(text), libraries=["xgboost", "scikit-learn", "duckdb"])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
