"""Output contracts that tests write rows of, by name."""

from assets.churn import app as churn
from assets.fraud import app as fraud
from models.scoring.output import OutputContract, multiclass_output, ranking_output, regression_output

CHURN, FRAUD = churn.CHURN.contract, fraud.FRAUD.contract
DEMAND = regression_output("customer_id", unit="units", at_least=0)
CONTRACTS: dict[str, OutputContract] = {
    "churn": CHURN,
    "fraud": FRAUD,
    "demand": DEMAND,
    "intent": multiclass_output("customer_id", ["refund", "delivery", "other"]),
    "recommendation": ranking_output("customer_id", "product_id"),
}
