-- Messages that came back too often, kept until an operator deals with them.
-- Times are milliseconds of the database's clock.

CREATE TABLE IF NOT EXISTS set_aside (
    id VARCHAR(36) NOT NULL,
    body_hash VARCHAR(64) NOT NULL,
    times INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    bytes BIGINT NOT NULL,
    method VARCHAR(255),
    project_id VARCHAR(255),
    request_id VARCHAR(255),
    message_key VARCHAR(128),
    reason TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_set_aside0body_hash UNIQUE (body_hash)
);

CREATE TABLE IF NOT EXISTS set_aside_part (
    set_aside_id VARCHAR(36) NOT NULL,
    part INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (set_aside_id, part)
);
