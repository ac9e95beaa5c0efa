//! Statements that are checked when the program is compiled, against `schema.sql` beside `Cargo.toml`. Change a name in a
//! statement or in the schema, and the compiler says what no longer fits.
//!
//! ```text
//! cargo run -p finalite-sql --example checked
//! ```

use finalite::{Connection, Params, Result};
use finalite_sql::sql;

#[derive(Params)]
struct NewPost<'a> {
    author: i64,
    title: &'a str,
    score: Option<f64>,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(include_str!("../schema.sql"))?;

    // `RETURNING id` is an `i64`: the key of a row is never NULL.
    let add_user = sql!("INSERT INTO users(name, email, is_admin) VALUES (?, ?, ?) RETURNING id");
    let ada = add_user.query_one(&conn, ("Ada", "ada@example.org", true))?;
    let grace = add_user.query_one(&conn, ("Grace", None::<&str>, false))?;
    add_user.query_one(&conn, ("Alan", None::<&str>, false))?;

    // Parameters with names take a struct.
    let add_post = sql!("INSERT INTO posts(author, title, score) VALUES (:author, :title, :score)");
    for (author, title, score) in
        [(ada, "Notes on the engine", Some(4.5)), (grace, "Nanoseconds", Some(5.0)), (grace, "A bug", None)]
    {
        add_post.execute(&conn, &NewPost { author, title, score })?;
    }

    println!("Users and their posts:");
    for user in users(&conn)? {
        println!("  {}{}", user, if user.is_admin { " (admin)" } else { "" });
    }

    // The right side of a LEFT JOIN may be missing: `title` is an `Option`, although the column is NOT NULL. `name` is a
    // `String`.
    let rows = sql!("SELECT name, title FROM users LEFT JOIN posts ON author = users.id ORDER BY users.id, posts.id");
    println!("All posts:");
    for row in rows.query_all(&conn, ())? {
        println!("  {}: {}", row.name, row.title.as_deref().unwrap_or("nothing yet"));
    }

    // The use decides about the type of an expression.
    let best: Option<f64> = sql!("SELECT max(score) FROM posts").query_one(&conn, ())?;
    println!("The best score is {}.", best.unwrap_or_default());
    Ok(())
}

/// A row can be a type of the program's own.
#[derive(finalite::FromRow)]
struct User {
    name: String,
    is_admin: bool,
    posts: u32,
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.posts == 1 { "" } else { "s" };
        write!(f, "{}: {} post{plural}", self.name, self.posts)
    }
}

fn users(conn: &Connection) -> Result<Vec<User>> {
    sql!(
        "SELECT name, is_admin, (SELECT count(*) FROM posts WHERE author = users.id) AS posts
         FROM users
         ORDER BY name" as User
    )
    .query_all(conn, ())
}
