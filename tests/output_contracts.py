"""Output contracts that tests write rows of, by name."""

from assets.churn import app as churn
from assets.fraud import app as fraud
from models.scoring.output import OutputContract
from resources.conformance.score_sets import OUTPUTS

CHURN, FRAUD = churn.CHURN.contract, fraud.FRAUD.contract
CONTRACTS: dict[str, OutputContract] = {
    "churn": CHURN,
    "fraud": FRAUD,
    "demand": OUTPUTS["regression"],
    "intent": OUTPUTS["multiclass"],
    "recommendation": OUTPUTS["ranking"],
}
