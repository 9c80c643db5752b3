"""SQL statements of the Postgres stream store.

Rows are passed as columns, one array each, so that one statement stores a whole batch. Texts sort by their bytes,
whatever the database's collation.
"""

_TEXT = 'TEXT COLLATE "C" NOT NULL'
#: Most histories are one or two KB: kept in their row, and not compressed, which would take longer than storing them.
TABLES = f"""
CREATE TABLE history (
    key {_TEXT}, value {_TEXT}, oldest BIGINT NOT NULL, packed BYTEA NOT NULL, PRIMARY KEY (key, value)
) WITH (toast_tuple_target = 8160);
ALTER TABLE history ALTER packed SET STORAGE MAIN;
CREATE INDEX history_by_oldest ON history (oldest);
CREATE TABLE payment (
    transaction_id BIGINT PRIMARY KEY, customer_id {_TEXT}, terminal_id {_TEXT}, micros BIGINT NOT NULL,
    cents BIGINT NOT NULL, is_seed BOOLEAN NOT NULL
);
CREATE INDEX payment_by_moment ON payment (micros);
CREATE TABLE scored (
    micros BIGINT, transaction_id BIGINT, score DOUBLE PRECISION NOT NULL, model_version {_TEXT},
    features BYTEA NOT NULL, PRIMARY KEY (micros, transaction_id)
);
CREATE TABLE alert (
    alert_id {_TEXT} PRIMARY KEY, day DATE NOT NULL, customer_id {_TEXT}, transactions BIGINT[] NOT NULL,
    raised_for TIMESTAMPTZ NOT NULL, score DOUBLE PRECISION NOT NULL, highest_score DOUBLE PRECISION NOT NULL,
    model_version {_TEXT}, reasons JSON NOT NULL, label TEXT CHECK (label IN ('fraud', 'ok'))
);
CREATE INDEX alert_by_day ON alert (day);
CREATE TABLE feedback (
    alert_id {_TEXT}, transaction_id BIGINT, is_fraud BOOLEAN, customer_id {_TEXT}, labelled_at TIMESTAMPTZ NOT NULL,
    who {_TEXT}, PRIMARY KEY (alert_id, transaction_id, is_fraud)
);
CREATE INDEX feedback_by_moment ON feedback (labelled_at);
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1), position BIGINT NOT NULL, newest BIGINT NOT NULL,
    generation BIGINT NOT NULL, batches BIGINT NOT NULL
);
INSERT INTO progress VALUES (1, 0, 0, 0, 0);
"""  # noqa: S608 - our own words
ALL_TABLES = ("history", "payment", "scored", "alert", "feedback", "progress")

#: Whoever writes locks this row first: all writers take turns, and each sees what the one before it did.
LOCK = "SELECT generation, batches FROM progress FOR UPDATE"
BEGIN = f"BEGIN; {LOCK}"
GENERATION = "SELECT generation, batches FROM progress"
POSITION = "SELECT position, newest FROM progress"
SET_POSITION = "UPDATE progress SET position = %s, newest = %s, batches = batches + 1"
SUPERSEDE = "UPDATE progress SET generation = generation + 1"

PAYMENT = "transaction_id, customer_id, terminal_id, micros, cents"
PAYMENTS = f"SELECT {PAYMENT} FROM payment WHERE transaction_id = ANY(%s)"  # noqa: S608 - our own columns
UNSCORED = "SELECT transaction_id FROM payment WHERE transaction_id = ANY(%s) AND is_seed"
ADD_PAYMENTS = f"""INSERT INTO payment ({PAYMENT}, is_seed)
    SELECT *, %s FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::bigint[])"""  # noqa: S608
IS_SCORED = "UPDATE payment SET is_seed = FALSE WHERE transaction_id = ANY(%s) AND is_seed"

HISTORIES = """SELECT key, value, packed FROM history
    JOIN unnest(%b::text[], %b::text[]) AS asked (key, value) USING (key, value)"""
HISTORIES_BEFORE = "SELECT key, value, packed FROM history WHERE oldest < %s ORDER BY oldest LIMIT %s"
SET_HISTORIES = """INSERT INTO history SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bytea[])
    ON CONFLICT (key, value) DO UPDATE SET oldest = excluded.oldest, packed = excluded.packed"""
REMOVE_HISTORIES = """DELETE FROM history USING unnest(%b::text[], %b::text[]) AS gone (key, value)
    WHERE history.key = gone.key AND history.value = gone.value"""

SET_SCORED = """INSERT INTO scored
    SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::float8[], %b::text[], %b::bytea[])
    ON CONFLICT (micros, transaction_id) DO UPDATE
    SET score = excluded.score, model_version = excluded.model_version, features = excluded.features"""
SCORED = """SELECT transaction_id, customer_id, terminal_id, scored.micros, score, model_version, features
    FROM scored JOIN payment USING (transaction_id)
    WHERE scored.micros >= %s AND scored.micros < %s AND octet_length(features) = %s
    ORDER BY scored.micros, transaction_id"""

ALERT = """alert_id, day, customer_id, transactions, raised_for, score, highest_score, model_version, reasons, label"""
ALERTS = f"SELECT {ALERT} FROM alert WHERE alert_id = ANY(%s)"  # noqa: S608 - our own columns
ALERTS_OF_DAYS = f"""SELECT {ALERT} FROM alert WHERE day BETWEEN %s AND %s
    ORDER BY day, highest_score DESC, alert_id"""  # noqa: S608 - our own columns
ALERT_DAYS = "SELECT DISTINCT day FROM alert ORDER BY day"
ALERT_IDS = "SELECT alert_id FROM alert ORDER BY day DESC, alert_id"
ADD_ALERT = f"""INSERT INTO alert ({ALERT}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (alert_id) DO """  # noqa: S608 - our own columns
LEAVE = "NOTHING"
#: Not its label: what an analyst said stays.
JOIN = "UPDATE SET transactions = excluded.transactions, highest_score = excluded.highest_score"
LABEL = "UPDATE alert SET label = %s WHERE alert_id = %s"
SAID = "SELECT 1 FROM feedback WHERE alert_id = %s AND is_fraud = %s LIMIT 1"
ADD_FEEDBACK = """INSERT INTO feedback (alert_id, transaction_id, is_fraud, customer_id, labelled_at, who)
    SELECT alert_id, unnest(transactions), %s, customer_id, %s, %s FROM alert WHERE alert_id = %s
    ON CONFLICT DO NOTHING"""
FEEDBACK = """SELECT transaction_id, customer_id, alert_id, is_fraud, labelled_at, who FROM feedback
    WHERE labelled_at >= %s AND labelled_at < %s ORDER BY labelled_at, transaction_id, is_fraud"""

#: The oldest first; a limit of NULL is none. What a history still holds of that time is a payment that is known.
REMOVE_PAYMENTS = """DELETE FROM payment WHERE transaction_id = ANY(ARRAY(
    SELECT transaction_id FROM payment
    WHERE micros < %(before)s AND NOT EXISTS (SELECT 1 FROM history WHERE oldest < %(before)s)
    ORDER BY micros LIMIT %(limit)s))"""
REMOVE_SCORED = """DELETE FROM scored USING (
        SELECT micros, transaction_id FROM scored WHERE micros < %(before)s
        ORDER BY micros, transaction_id LIMIT %(limit)s
    ) AS old WHERE scored.micros = old.micros AND scored.transaction_id = old.transaction_id"""

PAID_BY = "SELECT terminal_id, transaction_id FROM payment WHERE customer_id = %s"
FORGET = (
    """DELETE FROM scored USING payment WHERE payment.customer_id = %s
        AND scored.micros = payment.micros AND scored.transaction_id = payment.transaction_id""",
    "DELETE FROM payment WHERE customer_id = %s",
    "DELETE FROM alert WHERE customer_id = %s",
    "DELETE FROM feedback WHERE customer_id = %s",
    "DELETE FROM history WHERE key = 'customer_id' AND value = %s",
)
#: Writes the tables anew, so that nothing is left in their files; others wait meanwhile.
SCRUB = f"VACUUM (FULL, ANALYZE) {', '.join(ALL_TABLES[:-1])}"

ABOUT = "SELECT current_database(), current_setting('server_version'), (SELECT count(*) FROM alert)"
