CREATE TABLE people(
    id      INTEGER PRIMARY KEY,
    "full name" TEXT NOT NULL,
    type    TEXT NOT NULL,
    weight  REAL,
    photo   BLOB,
    active  BOOLEAN NOT NULL DEFAULT TRUE,
    born    DATE
);
