-- Posts of users.
CREATE TABLE posts(id INTEGER PRIMARY KEY, author INTEGER NOT NULL REFERENCES users ON DELETE CASCADE, text TEXT);
CREATE INDEX posts_by_author ON posts(author);
