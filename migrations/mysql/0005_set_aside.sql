-- Messages that came back too often, kept until an operator deals with them.
-- Times are milliseconds of the database's clock.
-- MySQL commits each statement by itself: every one must bear being run twice.

CREATE TABLE IF NOT EXISTS set_aside (
    id VARCHAR(36) NOT NULL,
    body_hash VARCHAR(64) NOT NULL,
    times INT NOT NULL,
    attempts INT NOT NULL,
    bytes BIGINT NOT NULL,
    method VARCHAR(255),
    project_id VARCHAR(255),
    request_id VARCHAR(255),
    message_key VARCHAR(128),
    reason TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_set_aside0body_hash UNIQUE (body_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS set_aside_part (
    set_aside_id VARCHAR(36) NOT NULL,
    part INT NOT NULL,
    sealed LONGTEXT NOT NULL,
    PRIMARY KEY (set_aside_id, part)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
