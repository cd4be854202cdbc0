-- What people decided about findings, and how each decision ended: a record that only grows.

-- One row an entry (a decision made, or one ended). `audit` is the first audit recorded after it, whose digest binds it:
-- null until then. An audit's own entries carry its own number. The text of decisions that ended more than 400 days ago
-- becomes empty; the hash stays. At most 10,000 decisions of an organisation stand at once.
CREATE TABLE decision_entry (
    seq      INTEGER PRIMARY KEY,
    org      INTEGER NOT NULL REFERENCES org (id),
    audit    INTEGER REFERENCES audit (seq),
    decision TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,
    hash     BLOB    NOT NULL,
    body     TEXT    NOT NULL
) STRICT;
CREATE INDEX decision_entry_by_org ON decision_entry (org, seq);
CREATE INDEX decision_entry_by_audit ON decision_entry (org, audit);

-- All versions of one finding: its history, and whether it failed in an earlier life.
CREATE INDEX finding_by_uid ON finding (org, uid);
