-- What probes proved. An observation of the platform's conduct, not configuration: outside every digest.

-- One row a probe of a configured client: what was last proven, since when, and what the latest attempt brought. A run
-- takes out the rows of what it no longer plans, and of clients that are no longer probed.
CREATE TABLE probe_standing (
    org          INTEGER NOT NULL REFERENCES org (id),
    client       TEXT    NOT NULL,
    operation    TEXT    NOT NULL,
    expectation  TEXT    NOT NULL CHECK (expectation IN ('deny', 'allow')),
    run          TEXT    NOT NULL,
    proven       TEXT,
    since_ms     INTEGER,
    latest       TEXT    NOT NULL,
    inconclusive INTEGER NOT NULL,
    tried_ms     INTEGER,
    PRIMARY KEY (org, client, operation, expectation)
) STRICT, WITHOUT ROWID;

-- The last 50 answers of each probe.
CREATE TABLE probe_answer (
    seq         INTEGER PRIMARY KEY,
    org         INTEGER NOT NULL REFERENCES org (id),
    client      TEXT    NOT NULL,
    client_name TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    expectation TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
CREATE INDEX probe_answer_by_probe ON probe_answer (org, client, operation, expectation);

-- Operations that answered 2xx to a negative test: not sent again, for any client, until a person clears them. At most
-- one row an operation of the curated table.
CREATE TABLE probe_block (
    org       INTEGER NOT NULL REFERENCES org (id),
    operation TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    client    TEXT    NOT NULL,
    status    INTEGER NOT NULL,
    PRIMARY KEY (org, operation)
) STRICT, WITHOUT ROWID;

-- Requests that probes made with a client's token, so that they are not taken for its own use. Kept for 400 days.
CREATE TABLE probe_sent (
    org          INTEGER NOT NULL REFERENCES org (id),
    day          TEXT    NOT NULL,
    client       TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    template     TEXT    NOT NULL,
    status_class INTEGER NOT NULL CHECK (status_class BETWEEN 0 AND 5),
    count        INTEGER NOT NULL,
    PRIMARY KEY (org, day, client, method, template, status_class)
) STRICT, WITHOUT ROWID;

-- What each client's token told when it was last asked for; at most one row a check.
CREATE TABLE probe_token (
    org         INTEGER NOT NULL REFERENCES org (id),
    client      TEXT    NOT NULL,
    token_check TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (org, client, token_check)
) STRICT, WITHOUT ROWID;

-- When the clients of an organisation were last probed by the schedule.
CREATE TABLE probe_run (
    org   INTEGER PRIMARY KEY REFERENCES org (id),
    at_ms INTEGER NOT NULL
) STRICT;
