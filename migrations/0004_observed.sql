-- What was observed beside the configuration: it changes all the time, so it is in no digest.

-- When each client's grants were last asked for from its own side. One row a client that takes turns; it goes with the
-- client. `due`: the client changed since, and is asked first.
CREATE TABLE grant_turn (
    org          INTEGER NOT NULL REFERENCES org (id),
    client       TEXT    NOT NULL,
    asked_ms     INTEGER NOT NULL,
    confirmed_ms INTEGER,
    due          INTEGER NOT NULL CHECK (due IN (0, 1)),
    PRIMARY KEY (org, client)
) STRICT, WITHOUT ROWID;

-- What clients called, as the platform last counted it: one row an organisation for the count as a whole …
CREATE TABLE usage_count (
    org      INTEGER PRIMARY KEY REFERENCES org (id),
    from_ms  INTEGER NOT NULL,
    to_ms    INTEGER NOT NULL,
    left_out INTEGER NOT NULL
) STRICT;

-- … and one for each client and operation, at most 100,000 of an organisation. Each count replaces the one before.
-- `last_day` is days since 1970-01-01 (UTC).
CREATE TABLE usage_call (
    org       INTEGER NOT NULL REFERENCES org (id),
    client    TEXT    NOT NULL,
    operation TEXT    NOT NULL,
    ok        INTEGER NOT NULL,
    denied    INTEGER NOT NULL,
    throttled INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    last_day  INTEGER,
    PRIMARY KEY (org, client, operation)
) STRICT, WITHOUT ROWID;
