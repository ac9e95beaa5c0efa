//! The types of columns, and whether they are said to be NOT NULL, statement by statement.

use super::{Checked, Kind, Nullable, check};
use crate::schema::Schema;
use crate::shape::Rules;

const SCHEMA: &str = "
    CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, born DATE NOT NULL, flag BOOLEAN NOT NULL);
    CREATE TABLE posts(id INTEGER PRIMARY KEY, author INTEGER NOT NULL, title VARCHAR(80) NOT NULL, score DOUBLE, body BLOB);
    CREATE TABLE tags(tag TEXT PRIMARY KEY, post INT) WITHOUT ROWID;
    CREATE TABLE odd(id INT PRIMARY KEY, v INTEGER NOT NULL AS (1), s INTEGER NOT NULL AS (1) STORED, any ANY NOT NULL);
    CREATE TABLE strict(id TEXT PRIMARY KEY, any ANY NOT NULL) STRICT;
    CREATE TABLE bare(a NOT NULL);
    CREATE VIRTUAL TABLE search USING fts5(title);
    CREATE VIEW authors AS SELECT DISTINCT users.id, name FROM users JOIN posts ON author = users.id;
    CREATE VIEW maybe AS SELECT users.id AS user, posts.title FROM users LEFT JOIN posts ON author = users.id;
    CREATE VIEW over_maybe AS SELECT * FROM maybe;
    CREATE VIEW twice AS SELECT users.id, title FROM users LEFT JOIN posts ON author = users.id;
    CREATE TEMP VIEW twice AS SELECT users.id, title FROM users JOIN posts ON author = users.id;
    CREATE TEMP VIEW passing AS SELECT users.id, title FROM users LEFT JOIN posts ON author = users.id;
    CREATE VIEW total AS SELECT id, count(*) AS n FROM users;
";

/// The columns in short: `i`, `f`, `t`, `b`, `?` for the type `bool`, `_` for one that the use decides; behind a column of
/// a table that may be NULL, a `0`; behind an expression, nothing.
fn columns(sql: &str) -> String {
    let schema = Schema::of_script(SCHEMA).unwrap();
    let Checked { columns, .. } = check(&schema, sql, Rules::default()).unwrap_or_else(|problem| panic!("{problem:?}"));
    let mut text = String::new();
    for column in columns {
        text += match column.kind {
            Some(Kind::Integer) => "i",
            Some(Kind::Real) => "f",
            Some(Kind::Text) => "t",
            Some(Kind::Blob) => "b",
            Some(Kind::Boolean) => "?",
            None => "_",
        };
        text += match column.nullable {
            Nullable::Never => "!",
            Nullable::Possible => "0",
            Nullable::Unknown => "",
        };
    }
    text
}

#[test]
fn columns_of_a_table() {
    for (sql, expected) in [
        ("SELECT * FROM users", "i!t!t0_!?!"),
        ("SELECT id, author, title, score, body FROM posts", "i!i!t!f0b0"),
        ("SELECT * FROM tags", "t!i0"),
        // An INT PRIMARY KEY may be NULL. The value of a virtual column was never checked.
        ("SELECT * FROM odd", "i0i0i!_!"),
        ("SELECT * FROM strict", "t!_!"),
        ("SELECT rowid, oid, a FROM bare", "i!i!_!"),
        ("SELECT rowid, title FROM search", "i0_0"),
        ("SELECT id + 1, upper(name), NULL, 1, 'a', count(*) FROM users", "______"),
        ("SELECT CAST(id AS TEXT), +id, CASE WHEN 1 THEN id END FROM users", "___"),
        ("SELECT u.id, \"u\".name, main.users.id FROM users u JOIN users", "i!t!i!"),
        ("SELECT name FROM users WHERE email = ? ORDER BY name LIMIT ? OFFSET ?", "t!"),
        ("SELECT name FROM users WHERE id IN (SELECT author FROM posts) ORDER BY (SELECT 1)", "t!"),
        ("SELECT name FROM users WHERE id = (SELECT max(author) FROM posts LEFT JOIN tags)", "t!"),
    ] {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}

#[test]
fn joins() {
    for (sql, expected) in [
        ("SELECT name, title FROM users JOIN posts ON author = users.id", "t!t!"),
        ("SELECT name, title FROM users, posts WHERE author = users.id", "t!t!"),
        (
            "SELECT name, title, tag FROM users LEFT JOIN posts ON author = users.id LEFT OUTER JOIN tags ON tag = title",
            "t!t0t0",
        ),
        ("SELECT name, title FROM users left -- JOIN\n join posts ON author = users.id", "t!t0"),
        ("SELECT name, title, tag FROM users LEFT JOIN posts ON author = users.id JOIN tags", "t!t0t!"),
        ("SELECT name, title FROM users NATURAL LEFT JOIN posts", "t!t0"),
        ("SELECT name, title FROM users RIGHT JOIN posts ON author = users.id", "t0t0"),
        ("SELECT name, title FROM users FULL JOIN posts ON author = users.id", "t0t0"),
        ("SELECT a.name, b.name FROM users a LEFT JOIN users b ON a.id = b.id", "t0t0"),
        ("SELECT name, p.title FROM users LEFT JOIN (SELECT * FROM posts) p ON author = users.id", "t!t0"),
        ("SELECT name, p.title FROM users JOIN (SELECT title FROM tags LEFT JOIN posts) p", "t!t0"),
        ("SELECT name, title FROM users LEFT JOIN (posts JOIN tags)", "t!t0"),
        ("WITH p AS (SELECT * FROM posts) SELECT name, title FROM users LEFT JOIN p ON author = users.id", "t0t0"),
        ("WITH p AS (SELECT * FROM posts) SELECT name, title FROM users JOIN p ON author = users.id", "t!t!"),
        ("SELECT left.name, title FROM users AS \"left\" JOIN posts", "t!t!"),
    ] {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}

#[test]
fn views() {
    for (sql, expected) in [
        ("SELECT * FROM authors", "i!t!"),
        ("SELECT * FROM maybe", "i!t0"),
        ("SELECT * FROM [MayBe]", "i!t0"),
        ("SELECT * FROM over_maybe", "i!t0"),
        ("SELECT title, name FROM posts LEFT JOIN authors ON authors.id = author", "t0t0"),
        ("SELECT tag, name FROM tags LEFT JOIN authors", "t!t0"),
        ("SELECT * FROM total", "i0_"),
        ("SELECT * FROM passing", "i!t0"),
        ("SELECT * FROM main.twice", "i!t0"),
    ] {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}

#[test]
fn aggregates_and_subqueries() {
    for (sql, expected) in [
        ("SELECT id, count(*) FROM users", "i0_"),
        ("SELECT id, count(*) FROM users GROUP BY id", "i!_"),
        ("SELECT name, max(id) FROM users HAVING 1", "t0_"),
        ("SELECT id, max(id, 3), abs(id) FROM users", "i!__"),
        ("SELECT id, row_number() OVER (ORDER BY name), lag(name) OVER w FROM users WINDOW w AS (ORDER BY id)", "i!__"),
        ("SELECT id, count(*), row_number() OVER () FROM users", "i0__"),
        // The aggregate of a subquery can be that of the outer SELECT.
        ("SELECT id, (SELECT count(posts.id) FROM posts) FROM users", "i!_"),
        ("SELECT id, (SELECT count(users.id)) FROM users", "i0_"),
        ("SELECT id FROM (SELECT id, count(*) FROM users)", "i0"),
        ("SELECT id FROM (SELECT id, count(*) FROM users GROUP BY id)", "i!"),
        ("SELECT id, (SELECT title FROM posts WHERE author = users.id) FROM users", "i!t0"),
        ("SELECT *, (SELECT title FROM posts) AS t FROM users", "i!t!t0_!?!t0"),
        ("SELECT (SELECT title FROM posts) AS t, * FROM users", "t0i!t!t0_!?!"),
        ("SELECT u.*, (SELECT title FROM posts) AS t, u.* FROM users u JOIN tags", "i0t0t0_0?0t0i0t0t0_0?0"),
        ("SELECT t FROM (SELECT (SELECT title FROM posts) AS t FROM users)", "t0"),
        ("SELECT id FROM users WHERE EXISTS (SELECT count(*) FROM posts)", "i!"),
    ] {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}

#[test]
fn compounds() {
    for (sql, expected) in [
        ("SELECT id, name, email FROM users UNION ALL SELECT id, title, title FROM posts", "i!t!t0"),
        ("SELECT id, name FROM users UNION SELECT NULL, score FROM posts ORDER BY 1 LIMIT 2", "__0"),
        ("SELECT name FROM users EXCEPT SELECT email FROM users", "t0"),
        ("WITH p AS (SELECT id FROM posts) SELECT id FROM users INTERSECT SELECT id FROM p", "i!"),
        ("SELECT id FROM (SELECT id FROM users UNION ALL SELECT name FROM users)", "_"),
        ("WITH RECURSIVE n(i) AS (SELECT id FROM users UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT i FROM n", "_"),
        ("VALUES (1, 'a'), (2, NULL)", "__"),
    ] {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}

#[test]
fn writes() {
    for (sql, expected) in [
        ("INSERT INTO users(name, born, flag) VALUES (?, ?, ?) RETURNING id", "i!"),
        ("INSERT INTO users(name, born, flag) SELECT title, 1, 1 FROM tags LEFT JOIN posts RETURNING *", "i!t!t0_!?!"),
        (
            "INSERT INTO users VALUES (1, 'a', 'b', 1, 1) ON CONFLICT DO UPDATE SET name = 'b' RETURNING id, email",
            "i!t0",
        ),
        ("UPDATE users SET name = ? FROM posts LEFT JOIN tags WHERE 1 RETURNING name, id + 1 AS next", "t!_"),
        ("WITH w AS (SELECT 1) DELETE FROM posts WHERE id IN (SELECT * FROM w) RETURNING title", "t!"),
        ("DELETE FROM users RETURNING id, (SELECT title FROM posts) AS t", "i!t0"),
        ("REPLACE INTO tags VALUES ('a', 1) RETURNING *", "t!i0"),
        ("DELETE FROM users", ""),
        ("CREATE TABLE more(a)", ""),
    ] {
        assert_eq!(columns(sql), expected, "{sql}");
    }
}
