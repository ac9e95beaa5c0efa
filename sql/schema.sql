-- The schema of the example `checked` and of the documentation.

CREATE TABLE users(
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    email    TEXT UNIQUE,
    is_admin BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE posts(
    id         INTEGER PRIMARY KEY,
    author     INTEGER NOT NULL REFERENCES users(id),
    title      TEXT NOT NULL,
    score      REAL,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);
