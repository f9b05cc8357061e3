-- What is kept of a bay beside Magnum's row: where its certificates are, and what its nodes are given. Sealed.
-- MySQL commits each statement by itself: every one must bear being run twice.

CREATE TABLE IF NOT EXISTS bay_secret (
    bay_uuid VARCHAR(36) NOT NULL,
    content MEDIUMTEXT NOT NULL,
    PRIMARY KEY (bay_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
