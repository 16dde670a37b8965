-- The revocation feed. seq is the order of commit, and with AUTOINCREMENT none comes
-- twice, whatever is swept: a place in the feed keeps its meaning.
CREATE TABLE revocations (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL,
    tag     INTEGER NOT NULL, -- random
    kind    TEXT    NOT NULL,
    about   TEXT    NOT NULL, -- id of what the kind concerns
    spared  BLOB,             -- id of a session
    at      INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT;

-- An index entry ends with seq, which is the row's number.
CREATE INDEX revocations_project ON revocations (project);
CREATE INDEX revocations_until ON revocations (until);

-- When the last session token has expired that was minted under a longer lifetime than
-- the settings have now. Nobody has written down what that was until now, so it is taken
-- for the longest that settings allow, 24 hours.
ALTER TABLE projects ADD COLUMN tokens_until INTEGER;
UPDATE projects SET tokens_until = (unixepoch() + 86400) * 1000;
