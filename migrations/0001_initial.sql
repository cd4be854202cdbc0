-- What audits saw (object, version), that they took place (audit), what they concluded (event, finding), and what
-- has to be sent (message, delivery). Times are integer milliseconds UTC, hashes are 32-byte blobs, JSON is text.
--
-- `since` and `until` are audit numbers: a row holds from audit `since` up to, not including, audit `until`;
-- `until` is null while it still holds. So an audit that saw no change adds one row to `audit` and nothing else.

CREATE TABLE org (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Never pruned. `chain` binds org, id, at_ms, complete, gaps, configuration and recorded to the row before.
CREATE TABLE audit (
    seq           INTEGER PRIMARY KEY,
    org           INTEGER NOT NULL REFERENCES org (id),
    id            TEXT    NOT NULL UNIQUE,
    started_ms    INTEGER NOT NULL,
    at_ms         INTEGER NOT NULL,
    complete      INTEGER NOT NULL CHECK (complete IN (0, 1)),
    gaps          TEXT    NOT NULL,
    configuration BLOB    NOT NULL,
    recorded      BLOB    NOT NULL,
    chain         BLOB    NOT NULL,
    api_calls     INTEGER NOT NULL,
    clients       INTEGER NOT NULL,
    roles         INTEGER NOT NULL
) STRICT;
-- An index ends with the row number: this one also finds the last audit of an organisation.
CREATE INDEX audit_by_org ON audit (org);
CREATE INDEX audit_by_time ON audit (org, at_ms);

-- The content of every entity that was ever seen, once, whichever organisation has it.
CREATE TABLE object (
    hash BLOB PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- The primary key starts with `since` because a snapshot is read as everything that began up to some audit.
CREATE TABLE version (
    org   INTEGER NOT NULL REFERENCES org (id),
    since INTEGER NOT NULL REFERENCES audit (seq),
    kind  TEXT    NOT NULL,
    id    TEXT    NOT NULL,
    until INTEGER,
    hash  BLOB    NOT NULL REFERENCES object (hash),
    PRIMARY KEY (org, since, kind, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX version_open ON version (org, kind, id) WHERE until IS NULL;
CREATE INDEX version_ended ON version (org, until) WHERE until IS NOT NULL;

CREATE TABLE finding (
    org   INTEGER NOT NULL REFERENCES org (id),
    since INTEGER NOT NULL REFERENCES audit (seq),
    uid   TEXT    NOT NULL,
    until INTEGER,
    body  TEXT    NOT NULL,
    PRIMARY KEY (org, since, uid)
) STRICT;
CREATE UNIQUE INDEX finding_open ON finding (org, uid) WHERE until IS NULL;
CREATE INDEX finding_ended ON finding (org, until) WHERE until IS NOT NULL;

CREATE TABLE event (
    audit INTEGER NOT NULL REFERENCES audit (seq),
    ord   INTEGER NOT NULL,
    id    TEXT    NOT NULL UNIQUE,
    body  TEXT    NOT NULL,
    PRIMARY KEY (audit, ord)
) STRICT;

-- Audits that recorded nothing. `after` is the audit before it (0: none). The last 1,000 of an organisation stay.
CREATE TABLE failure (
    seq        INTEGER PRIMARY KEY,
    org        INTEGER NOT NULL REFERENCES org (id),
    after      INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    started_ms INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL
) STRICT;
CREATE INDEX failure_by_org ON failure (org);

-- Entities that vanished from a listing that shrank too much to be believed at once.
CREATE TABLE pending_removal (
    org     INTEGER NOT NULL REFERENCES org (id),
    fact    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    PRIMARY KEY (org, fact, subject)
) STRICT, WITHOUT ROWID;

-- Objects in each division as last counted: an observation, not configuration.
CREATE TABLE object_count (
    org      INTEGER NOT NULL REFERENCES org (id),
    division TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (org, division, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX message_by_age ON message (created_ms);

-- One message on its way to one receiver. `next_ms` is when it may be (re)tried, pending rows only.
CREATE TABLE delivery (
    message    INTEGER NOT NULL REFERENCES message (seq) ON DELETE CASCADE,
    receiver   TEXT    NOT NULL,
    order_key  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempt    INTEGER NOT NULL,
    queued_ms  INTEGER NOT NULL,
    next_ms    INTEGER,
    settled_ms INTEGER,
    reason     TEXT,
    detail     TEXT,
    PRIMARY KEY (message, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_queue ON delivery (receiver, message) WHERE state = 'pending';
CREATE INDEX delivery_order ON delivery (receiver, order_key, message) WHERE state = 'pending';
