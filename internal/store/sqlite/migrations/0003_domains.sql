-- Custom domains are found without walking through all projects. Most have none and are
-- not in the index.
CREATE INDEX projects_by_domain ON projects (json_extract(settings, '$.customDomain'))
    WHERE json_extract(settings, '$.customDomain') <> '';
