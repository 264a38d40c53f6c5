"""The tables of what is known of a collection's duplicates.

`content` is a file's bytes, `picture` a row of the collection that has them. `placed` and `compared` say whether a
content is in its cells and was compared in all of them, `cell.compared` the same of one cell. `pair` is two contents
that may be alike; `looked` is 0 where their pixels are still to be compared, 1 where they were or need not be, 2 where
they could not be read, and 3 where that is to be tried again.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, phash INTEGER NOT NULL, vector BLOB NOT NULL,
    placed INTEGER NOT NULL DEFAULT 0, compared INTEGER NOT NULL DEFAULT 0, pixels BLOB);
CREATE INDEX IF NOT EXISTS unplaced ON content (id) WHERE placed = 0;
CREATE TABLE IF NOT EXISTS picture (
    id TEXT PRIMARY KEY, content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS copies ON picture (content);
CREATE TABLE IF NOT EXISTS cell (
    pivot INTEGER NOT NULL, content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE, compared INTEGER NOT NULL,
    PRIMARY KEY (pivot, content)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cells_of ON cell (content);
CREATE INDEX IF NOT EXISTS uncompared ON cell (pivot) WHERE compared = 0;
CREATE TABLE IF NOT EXISTS pair (
    first INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    second INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    distance INTEGER NOT NULL, mirrored INTEGER NOT NULL, score REAL NOT NULL,
    agreement REAL, looked INTEGER NOT NULL,
    PRIMARY KEY (first, second)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pairs_of ON pair (second);
CREATE INDEX IF NOT EXISTS unlooked ON pair (first) WHERE looked % 3 = 0;
CREATE TABLE IF NOT EXISTS pivot (number INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""
