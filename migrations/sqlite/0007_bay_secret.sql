-- What is kept of a bay beside Magnum's row: where its certificates are, and what its nodes are given. Sealed.

CREATE TABLE IF NOT EXISTS bay_secret (
    bay_uuid VARCHAR(36) NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (bay_uuid)
);
