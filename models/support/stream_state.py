"""The state of the support stream: tickets that were answered, and what each step gave for them."""

from models.stream_state import StateTable, StreamState

ANSWER = StateTable(
    name="answer",
    columns={
        "ticket_id": "text",
        "customer_id": "text",
        "opened_at": "int",
        "event_digest": "text",
        "model_version": "text",
        "row": "text",
    },
    key_columns=1,
    at="opened_at",
)
STEP = StateTable(
    name="step",
    columns={
        "ticket_id": "text",
        "step": "text",
        "customer_id": "text",
        "opened_at": "int",
        "state": "text",
        "output": "text",
    },
    key_columns=2,
    at="opened_at",
)
#: A guest's tickets have an empty `customer_id`; `row` and `output` are JSON, as a night publishes and stores them.
SUPPORT_STATE = StreamState(name="support", tables=(STEP, ANSWER))
