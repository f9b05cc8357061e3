-- What the era of bays knew and Magnum's last schema has no place for: the bay and the name of a key pair, and
-- Liberty's locks on bays.

CREATE TABLE IF NOT EXISTS bay_key_pair (
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    bay_uuid VARCHAR(36),
    ca_cert TEXT,
    PRIMARY KEY (uuid)
);

CREATE TABLE IF NOT EXISTS bay_lock (
    bay_uuid VARCHAR(36) NOT NULL,
    conductor_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (bay_uuid)
);
