-- Who made the changes that events tell of, by the platform's audit log; and since when clients' secrets are what they are.
-- Learnt beside the evidence, often after it, and outside every digest: no row of `event` is touched for it.

-- One row an event that was asked about. A later answer takes the place of an unknown one.
CREATE TABLE attribution (
    event     TEXT    PRIMARY KEY REFERENCES event (id),
    org       INTEGER NOT NULL REFERENCES org (id),
    at_ms     INTEGER NOT NULL,
    certainty TEXT    NOT NULL CHECK (certainty IN ('exact', 'within_window', 'unknown')),
    body      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Questions that the log did not answer yet: asked again for a day, at most 200 of an organisation.
CREATE TABLE attribution_pending (
    event    TEXT    PRIMARY KEY REFERENCES event (id),
    org      INTEGER NOT NULL REFERENCES org (id),
    since_ms INTEGER NOT NULL,
    next_ms  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    question TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attribution_pending_by_org ON attribution_pending (org, next_ms);

-- The span over which the log was read for new secrets, without a hole.
CREATE TABLE secret_log (
    org     INTEGER PRIMARY KEY REFERENCES org (id),
    from_ms INTEGER NOT NULL,
    to_ms   INTEGER NOT NULL
) STRICT;

-- The last time that a client was seen to get a secret; at most one row a client that exists.
CREATE TABLE secret_issued (
    org    INTEGER NOT NULL REFERENCES org (id),
    client TEXT    NOT NULL,
    at_ms  INTEGER NOT NULL,
    actor  TEXT,
    PRIMARY KEY (org, client)
) STRICT, WITHOUT ROWID;
