-- What retention forgets, and where a disk's health is tried out.

-- Retention forgets the content of an entity, never that it was: the object's row and its hash stay, with every version
-- that names it, so that the digest of each audit's configuration can still be computed. Its text becomes empty (no
-- entity is) and this says when. Content that comes back is stored again and this becomes null. A column rather than a
-- table without the row: `version` refers to `object`, and adding a column rewrites nothing.
ALTER TABLE object ADD COLUMN forgotten_ms INTEGER CHECK (forgotten_ms IS NULL OR body = '');

-- One row, rewritten when somebody asks whether the disk takes a durable write. It means nothing.
CREATE TABLE probe (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    count INTEGER NOT NULL
) STRICT;
