-- What was told, so that a restart tells nothing twice and forgets nothing that it owes.

-- At most one row an organisation. `overdue_ms`: when it was told that no audit was complete for too long, null once one
-- is. `reminded_ms`: when it was last told what is still open.
CREATE TABLE told (
    org         INTEGER PRIMARY KEY REFERENCES org (id),
    overdue_ms  INTEGER,
    reminded_ms INTEGER
) STRICT;
-- Finds the last complete audit of an organisation, which is asked for every few seconds.
CREATE INDEX audit_complete ON audit (org) WHERE complete = 1;

-- Subjects and findings that changed lately: how often, what was said of them, how they stand. At most 1,000 an
-- organisation; each goes when it did not change for eight hours.
CREATE TABLE told_thing (
    org   INTEGER NOT NULL REFERENCES org (id),
    thing TEXT    NOT NULL,
    body  TEXT    NOT NULL,
    PRIMARY KEY (org, thing)
) STRICT, WITHOUT ROWID;

-- Whether other receivers were told that this one did not get the message. What died before is old news.
ALTER TABLE delivery ADD COLUMN death_told INTEGER NOT NULL DEFAULT 0 CHECK (death_told IN (0, 1));
UPDATE delivery SET death_told = 1 WHERE state = 'dead';
CREATE INDEX delivery_untold ON delivery (receiver, message) WHERE state = 'dead' AND death_told = 0;

-- When others were last told of a receiver's dead messages; each row goes after an hour.
CREATE TABLE told_dead (
    receiver TEXT PRIMARY KEY,
    at_ms    INTEGER NOT NULL
) STRICT;
