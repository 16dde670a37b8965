-- Every table has a short row number n of its own: what refers to a row does so by
-- number, which keeps sessions and their indexes small. Times are Unix milliseconds,
-- NULL for never. Identifiers are their 16 bytes, refresh token identifiers their 12.

-- Marks the file as a database of latchkey: "Latk".
PRAGMA application_id = 1281455211;

CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (0);

CREATE TABLE projects (
    n          INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    sealed_mac BLOB    NOT NULL,
    settings   TEXT    NOT NULL -- JSON
) STRICT;

-- A deleted user leaves a row with status 'deleted' and nothing personal for as long as
-- there are sessions of theirs: it is where a session has its user's id.
CREATE TABLE users (
    n          INTEGER PRIMARY KEY,
    project    INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    status     TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    created_at INTEGER,
    updated_at INTEGER,
    login_ids  BLOB,             -- in the order given; lists are strings after their lengths
    name       TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    phone      TEXT    NOT NULL,
    UNIQUE (project, id)
) STRICT;

CREATE TABLE login_ids (
    project  INTEGER NOT NULL,
    login_id TEXT    NOT NULL,
    user     INTEGER NOT NULL,
    PRIMARY KEY (project, login_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE management_keys (
    n          INTEGER PRIMARY KEY,
    project    INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    digest     BLOB    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL,
    created_at INTEGER,
    expires_at INTEGER,
    name       TEXT    NOT NULL,
    scopes     TEXT    NOT NULL, -- JSON
    networks   TEXT    NOT NULL, -- JSON
    UNIQUE (project, id)
) STRICT;

CREATE TABLE signing_keys (
    n            INTEGER PRIMARY KEY,
    project      INTEGER NOT NULL,
    id           BLOB    NOT NULL,
    algorithm    TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    created_at   INTEGER,
    activates_at INTEGER,
    activated_at INTEGER,
    retired_at   INTEGER,
    gone_at      INTEGER,
    longest      INTEGER NOT NULL, -- milliseconds
    sealed       BLOB    NOT NULL,
    UNIQUE (project, id)
) STRICT;

-- What lists and counts look at comes first: SQLite reads a row from its start.
--
-- reap_at is never later than the moment at which the session is over, and usually
-- earlier: a refresh that moves the idle timeout leaves it alone, which spares every
-- refresh an index entry. Sweep puts it right when it gets there.
CREATE TABLE sessions (
    n               INTEGER PRIMARY KEY,
    project         INTEGER NOT NULL,
    id              BLOB    NOT NULL,
    user            INTEGER NOT NULL,
    reap_at         INTEGER NOT NULL,
    created_at      INTEGER,
    absolute_at     INTEGER,
    idle_at         INTEGER,
    ended_at        INTEGER,
    end_reason      TEXT,
    user_epoch      INTEGER NOT NULL,
    project_epoch   INTEGER NOT NULL,
    signing_key     BLOB,
    ip              TEXT    NOT NULL,

    parent          BLOB,
    newest          BLOB,
    rotated_at      INTEGER,
    replayed_at     INTEGER,
    confirmed       INTEGER NOT NULL,
    limit_from      INTEGER,
    limit_count     INTEGER NOT NULL,
    recoveries      INTEGER NOT NULL,
    foreign_replays INTEGER NOT NULL,
    network         BLOB,             -- netip.Prefix in its binary form
    agent           TEXT    NOT NULL,

    auth_time       INTEGER,
    amr             BLOB,             -- list
    audience        BLOB,             -- list
    claims          TEXT,             -- JSON as it was given
    nsec            TEXT,             -- JSON as it was given
    claims_epoch    INTEGER NOT NULL,
    device          TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL,
    trace           BLOB    NOT NULL, -- session.Trace in its binary form
    UNIQUE (project, id)
) STRICT;

CREATE INDEX sessions_user ON sessions (user, id);
CREATE INDEX sessions_reap ON sessions (reap_at);

-- Events may outlive what they are about, so they hold identifiers, not row numbers.
CREATE TABLE events (
    n          INTEGER PRIMARY KEY,
    project    BLOB    NOT NULL,
    id         BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    type       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    ip         TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    session    BLOB,
    user       BLOB,
    data       TEXT, -- JSON
    UNIQUE (project, id)
) STRICT;

CREATE INDEX events_at ON events (at);
CREATE INDEX events_session ON events (session, id) WHERE session IS NOT NULL;
CREATE INDEX events_user ON events (user, id) WHERE user IS NOT NULL;
