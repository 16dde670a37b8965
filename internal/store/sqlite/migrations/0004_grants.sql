-- Who may what. What a user is granted stands in the user's row, as identifiers;
-- user_grants is the way back, from a tenant, a role, or a role in a tenant to the users.
-- Both are written together. Identifiers of tenants and roles that were deleted stay in
-- both until the user changes or a sweep comes by: lost_grants says what it has to do.
ALTER TABLE users ADD COLUMN attributes TEXT; -- a JSON object
ALTER TABLE users ADD COLUMN grants BLOB;     -- see grants.go; NULL when there are none

CREATE TABLE user_grants (
    project INTEGER NOT NULL,
    tenant  BLOB    NOT NULL, -- id; empty: in the project or in any tenant
    role    BLOB    NOT NULL, -- id; empty: with whatever role, or none
    user_id BLOB    NOT NULL, -- lists go along it
    user    INTEGER NOT NULL,
    PRIMARY KEY (project, tenant, role, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE lost_grants (
    project INTEGER NOT NULL,
    tenant  BLOB    NOT NULL, -- either is empty
    role    BLOB    NOT NULL,
    PRIMARY KEY (project, tenant, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    n          INTEGER PRIMARY KEY,
    project    INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    status     TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    created_at INTEGER,
    updated_at INTEGER,
    name       TEXT    NOT NULL,
    attributes TEXT,             -- a JSON object
    settings   TEXT,             -- JSON; NULL when it overrides nothing
    UNIQUE (project, id)
) STRICT;

CREATE INDEX tenants_overrides ON tenants (project, id) WHERE settings IS NOT NULL;

-- Which three letters stand in what a user or a tenant is called: see texts.go. They are
-- filled by the migration's code, since folding letters is Go's. Small pages keep the steps
-- small in which SQLite merges parts of the index, for which other writers wait.
CREATE INDEX users_by_id ON users (id);
CREATE INDEX tenants_by_id ON tenants (id);
CREATE VIRTUAL TABLE user_texts USING fts5 (text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');
CREATE VIRTUAL TABLE tenant_texts USING fts5 (text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');
INSERT INTO user_texts (user_texts, rank) VALUES ('pgsz', 1000);
INSERT INTO tenant_texts (tenant_texts, rank) VALUES ('pgsz', 1000);

CREATE TABLE permissions (
    project     INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    created_at  INTEGER,
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

-- Deleted permissions that roles may still have, those behind the one that is named here.
CREATE TABLE lost_permissions (
    project INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    role    BLOB    NOT NULL, -- id; empty: from the first one on
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    n           INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL,
    id          BLOB    NOT NULL,
    tenant      BLOB    NOT NULL, -- id of the tenant; empty for a role of the project
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    permissions BLOB,             -- list
    created_at  INTEGER,
    updated_at  INTEGER,
    UNIQUE (project, id),
    UNIQUE (project, tenant, name)
) STRICT;

CREATE INDEX roles_level ON roles (project, tenant, id);

-- The current tenant of a session by its identifier: the row of a deleted tenant is gone,
-- and its number may come again. What sign-in actions have added is named in two lists.
ALTER TABLE sessions ADD COLUMN tenant         BLOB;
ALTER TABLE sessions ADD COLUMN tenant_epoch   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN idle_limit     INTEGER; -- milliseconds
ALTER TABLE sessions ADD COLUMN step_up        BLOB;
ALTER TABLE sessions ADD COLUMN actor          TEXT;
ALTER TABLE sessions ADD COLUMN acted_claims   BLOB;
ALTER TABLE sessions ADD COLUMN acted_audience BLOB;

CREATE INDEX sessions_tenant ON sessions (tenant, id) WHERE tenant IS NOT NULL;

-- 'enabled', 'disabled' or 'deleted'. A deleted project goes once its tokens have expired.
ALTER TABLE projects ADD COLUMN status TEXT NOT NULL DEFAULT 'enabled';
ALTER TABLE projects ADD COLUMN deleted_at INTEGER;
CREATE INDEX projects_deleted ON projects (deleted_at) WHERE deleted_at IS NOT NULL;

-- Where the sessions with the largest claims are, for those who want to know whether
-- they still fit. Most sessions have no claims and aren't in it.
CREATE INDEX sessions_claims ON sessions (project, ifnull(octet_length(claims), 0) + ifnull(octet_length(nsec), 0), id)
    WHERE claims IS NOT NULL OR nsec IS NOT NULL;

-- Templates and sign-in actions: which versions are in use, 0 for none, and all that are
-- kept.
CREATE TABLE documents (
    project   INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    stable    INTEGER NOT NULL,
    candidate INTEGER NOT NULL,
    percent   INTEGER NOT NULL,
    previous  INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (project, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE document_versions (
    project    INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    n          INTEGER NOT NULL,
    document   TEXT,             -- JSON as it was given
    comment    TEXT    NOT NULL,
    created_at INTEGER,
    actor      TEXT    NOT NULL,
    conceals   INTEGER NOT NULL, -- 1: tokens may follow from roles that they don't name
    PRIMARY KEY (project, kind, n)
) STRICT;

-- Machines. Of the secret only the digest is kept, as for management keys. The keys of a
-- user go with them.
CREATE TABLE access_keys (
    n            INTEGER PRIMARY KEY,
    project      INTEGER NOT NULL,
    id           BLOB    NOT NULL,
    digest       BLOB    NOT NULL UNIQUE,
    user         BLOB,             -- id; NULL: nobody's
    status       TEXT    NOT NULL,
    created_at   INTEGER,
    updated_at   INTEGER,
    expires_at   INTEGER,
    last_used_at INTEGER,          -- exact to an hour
    name         TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    claims       TEXT,             -- a JSON object
    attributes   TEXT,             -- a JSON object
    grants       BLOB,             -- see grants.go; NULL when there are none
    networks     TEXT    NOT NULL, -- JSON list
    UNIQUE (project, id)
) STRICT;

CREATE INDEX access_keys_of_user ON access_keys (project, user, id) WHERE user IS NOT NULL;

-- Webhooks go along the events in the order of commit: place is the number of the last
-- one that needs no look any more.
CREATE TABLE webhooks (
    n              INTEGER PRIMARY KEY,
    project        INTEGER NOT NULL,
    id             BLOB    NOT NULL,
    enabled        INTEGER NOT NULL,
    why            TEXT    NOT NULL,
    place          INTEGER NOT NULL,
    created_at     INTEGER,
    updated_at     INTEGER,
    failing_since  INTEGER,
    delivered_at   INTEGER,
    url            TEXT    NOT NULL,
    description    TEXT    NOT NULL,
    types          BLOB,             -- list
    sealed         BLOB    NOT NULL,
    previous       BLOB,
    previous_until INTEGER,
    UNIQUE (project, id)
) STRICT;

CREATE INDEX webhooks_enabled ON webhooks (id) WHERE enabled;

-- What couldn't be delivered until now. next_at is NULL when it won't be tried again; at
-- is the time of the event.
CREATE TABLE webhook_deliveries (
    project  INTEGER NOT NULL,
    webhook  INTEGER NOT NULL,
    event    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    next_at  INTEGER,
    attempts INTEGER NOT NULL,
    last_at  INTEGER,
    status   INTEGER NOT NULL,
    error    TEXT    NOT NULL,
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_deliveries_at ON webhook_deliveries (at);
CREATE INDEX webhook_deliveries_project ON webhook_deliveries (project);

-- Work that one process at a time does.
CREATE TABLE leases (
    name   TEXT    PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
