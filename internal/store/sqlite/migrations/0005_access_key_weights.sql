-- Where the access keys are that may have the longest tokens, for those who want to know
-- whether they still fit: see directory.AccessKey.Weight. Keys that can't be exchanged
-- aren't in it.
CREATE INDEX access_keys_weight ON access_keys
    (project, ifnull(octet_length(claims), 0) + ifnull(octet_length(attributes), 0) + 4 * ifnull(octet_length(grants), 0), id)
    WHERE status = 'enabled';
