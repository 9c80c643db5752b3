"""SQL statements of the queue, shared by SQLite and Postgres (`:name` is a parameter).

Each group has a cursor, `through`. Events up to it were delivered at least once; those not yet acknowledged are rows of
`delivery` (leased until `leased_until_us`; 0 means returned, or deferred because an earlier event of the
subject was leased). Events after the cursor were not delivered, except a few after a replay; those already acknowledged
are rows of `ahead`. So every call reads only what is in progress, never the history. Numbers of erased events are rows
of `hole` for as long as a cursor may still pass them; no count includes them.

Lock order: a transaction that locks both locks `newest` first, then `reader`.
"""

#: Makes what is not there: a queue of an earlier version has no `hole`.
TABLES = """
CREATE TABLE IF NOT EXISTS event (
    number BIGINT PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, time_us BIGINT NOT NULL,
    subject TEXT NOT NULL, data TEXT NOT NULL, published_us BIGINT NOT NULL, traceparent TEXT NOT NULL DEFAULT '',
    UNIQUE (id, source)
);
CREATE TABLE IF NOT EXISTS reader (name TEXT PRIMARY KEY, through BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    name TEXT NOT NULL, number BIGINT NOT NULL, subject TEXT NOT NULL, attempt INTEGER NOT NULL,
    leased_until_us BIGINT NOT NULL, PRIMARY KEY (name, number)
);
CREATE INDEX IF NOT EXISTS delivery_by_subject ON delivery (name, subject, number);
CREATE TABLE IF NOT EXISTS ahead (name TEXT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (name, number));
CREATE TABLE IF NOT EXISTS newest (one INTEGER PRIMARY KEY CHECK (one = 1), number BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS hole (number BIGINT PRIMARY KEY);
INSERT INTO newest VALUES (1, 0) ON CONFLICT DO NOTHING;
"""

#: Publishers take turns here: numbers become visible in ascending order, so that no cursor passes one by.
LOCK_NEWEST = "SELECT number FROM newest FOR UPDATE"
NEWEST = "SELECT number FROM newest"
SET_NEWEST = "UPDATE newest SET number = :number"
INSERT_EVENT = """INSERT INTO event (number, source, id, type, time_us, subject, data, published_us, traceparent)
    VALUES (:number, :source, :id, :type, :time_us, :subject, :data, :published_us, :traceparent)"""
#: What a queue of an earlier version has no column for.
ADD_TRACEPARENT = "ALTER TABLE event ADD COLUMN traceparent TEXT NOT NULL DEFAULT ''"
OLDEST = "SELECT number FROM event ORDER BY number LIMIT 1"

#: Members of a group take turns here: who may have which subject is decided by one at a time. The maker of a group
#: locks `newest` before, as does a removal of events: so the events that its first member finds are not taken away.
LOCK_READER = "SELECT through FROM reader WHERE name = :name FOR UPDATE"
NEW_READER = "INSERT INTO reader (name, through) VALUES (:name, :through) ON CONFLICT DO NOTHING"
SET_THROUGH = "UPDATE reader SET through = :through WHERE name = :name"
READERS = "SELECT name FROM reader ORDER BY name"
LOCK_READERS = "SELECT through FROM reader ORDER BY name FOR UPDATE"

#: What a group would have before it that handed out nothing beyond `:through`.
WAITING = """SELECT (SELECT number FROM newest) - :through - (SELECT count(*) FROM hole WHERE number > :through)"""
BACKLOG = """SELECT (SELECT number FROM newest) - r.through
    - (SELECT count(*) FROM hole h WHERE h.number > r.through)
    - (SELECT count(*) FROM ahead a WHERE a.name = r.name)
    + (SELECT count(*) FROM delivery d WHERE d.name = r.name AND d.number <= r.through)
    FROM reader r"""

#: When the oldest event that a group has not settled was published.
WAITING_SINCE = """SELECT published_us FROM event WHERE number = (SELECT min(number) FROM (
    SELECT d.number FROM delivery d WHERE d.name = :name
    UNION ALL
    SELECT number FROM (
        SELECT e.number FROM event e JOIN reader r ON r.name = :name WHERE e.number > r.through
        AND NOT EXISTS (SELECT 1 FROM ahead a WHERE a.name = :name AND a.number = e.number)
        ORDER BY e.number LIMIT 1
    ) fresh
) waiting)"""

_EVENT = "e.number, e.source, e.id, e.type, e.time_us, e.subject, e.data, e.traceparent"
#: Handed out before, not leased, and no earlier one of the same subject is leased.
AGAIN = f"""SELECT {_EVENT}, d.attempt + 1 FROM delivery d JOIN event e ON e.number = d.number
    WHERE d.name = :name AND d.leased_until_us <= :now AND NOT EXISTS (
        SELECT 1 FROM delivery h WHERE h.name = :name AND h.subject = d.subject AND h.number < d.number
        AND h.leased_until_us > :now
    ) ORDER BY d.number LIMIT :limit"""  # noqa: S608 - our own columns
HELD = "SELECT subject, min(number) FROM delivery WHERE name = :name AND leased_until_us > :now GROUP BY subject"
FRESH = f"""SELECT {_EVENT}, 1 FROM event e WHERE e.number > :through AND e.number <= :last
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.name = :name AND d.number = e.number)
    AND NOT EXISTS (SELECT 1 FROM ahead a WHERE a.name = :name AND a.number = e.number)
    ORDER BY e.number LIMIT :limit"""  # noqa: S608 - our own columns
#: Whether reading may give something; asked often while waiting, and takes no lock.
ANYTHING = """SELECT coalesce((SELECT through FROM reader WHERE name = :name), -1) < (SELECT number FROM newest)
    OR EXISTS (SELECT 1 FROM delivery WHERE name = :name AND leased_until_us <= :now)"""
LEASE = """INSERT INTO delivery (name, number, subject, attempt, leased_until_us)
    VALUES (:name, :number, :subject, :attempt, :until)
    ON CONFLICT (name, number) DO UPDATE SET attempt = excluded.attempt, leased_until_us = excluded.leased_until_us"""
CLEAR_AHEAD = "DELETE FROM ahead WHERE name = :name AND number <= :through"

SETTLE = "DELETE FROM delivery WHERE name = :name AND number = :number"
SETTLE_AHEAD = """INSERT INTO ahead (name, number)
    SELECT :name, e.number FROM event e WHERE e.number = :number ON CONFLICT DO NOTHING"""
IS_DELIVERED = "SELECT 1 FROM delivery WHERE name = :name AND number = :number"
#: An event beyond the cursor that is not settled.
IS_FRESH = """SELECT 1 FROM event e WHERE e.number = :number AND e.number > :through
    AND NOT EXISTS (SELECT 1 FROM ahead a WHERE a.name = :name AND a.number = e.number)"""
RELEASE = "UPDATE delivery SET leased_until_us = 0 WHERE name = :name AND number = :number"
TAKE_OVER = "UPDATE delivery SET leased_until_us = 0 WHERE name = :name AND leased_until_us > 0"
REPLAY_DELIVERED = "DELETE FROM delivery WHERE name = :name AND number >= :first AND leased_until_us <= :now"
REPLAY_AHEAD = "DELETE FROM ahead WHERE name = :name AND number >= :first"

REFUSE = """INSERT INTO dead_letter (body, reason, number, refused_us)
    VALUES (:body, :reason, :number, :now)"""
LETTERS = "SELECT body, reason, number, refused_us FROM dead_letter ORDER BY place DESC LIMIT :limit"

FIRST_DELIVERED = "SELECT min(number) FROM delivery"
FIRST_KEPT = "SELECT number FROM event WHERE published_us >= :before ORDER BY number LIMIT 1"
PRUNE = "DELETE FROM event WHERE number <= :through"
PRUNE_LETTERS = "DELETE FROM dead_letter WHERE refused_us < :before"
PRUNE_HOLES = "DELETE FROM hole WHERE number <= :through"

#: Events that may name a person; `!` makes `%` and `_` letters.
MENTIONS = """SELECT number, subject, data FROM event WHERE subject = :subject OR data LIKE :pattern ESCAPE '!'
    ORDER BY number"""
ADD_HOLE = "INSERT INTO hole (number) VALUES (:number) ON CONFLICT DO NOTHING"
CLEAR_HOLES = (
    "DELETE FROM event WHERE number IN (SELECT number FROM hole)",
    "DELETE FROM delivery WHERE number IN (SELECT number FROM hole)",
    "DELETE FROM ahead WHERE number IN (SELECT number FROM hole)",
)
LETTERS_AFTER = "SELECT place, body FROM dead_letter WHERE place > :place ORDER BY place LIMIT :limit"
REMOVE_LETTER = "DELETE FROM dead_letter WHERE place = :place"
DROP = (
    "DELETE FROM delivery WHERE name = :name",
    "DELETE FROM ahead WHERE name = :name",
    "DELETE FROM reader WHERE name = :name",
)
