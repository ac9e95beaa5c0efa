//! A web service: a ledger on a pool, with a page that shows what SQLite does meanwhile.
//!
//! `cargo run --release -p finalite-tokio --example web_service` prints its address. `GET /account/{id}` has the cents of an
//! account, `POST /transfer/{payer}/{payee}/{cents}` moves some, `GET /accounts` streams all, `/sqlite/` is the page. It ends
//! on Ctrl-C or SIGTERM, or after `--seconds N`: requests are served to their end, and nothing of SQLite's is left.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use finalite::{OpenOptions, handles, memory};
use finalite_tokio::{Pool, RowStream};
use futures_core::Stream;
use tokio::net::TcpListener;

const ACCOUNTS: i64 = 1000;
const CENTS: i64 = 100_000;

/// Time that a request is allowed.
const DEADLINE: Duration = Duration::from_secs(5);

/// An error as a response. Its text stays here: it is for the operator.
enum Failure {
    NoAccount,
    Overdrawn,
    Database(finalite::Error),
}

impl From<finalite::Error> for Failure {
    fn from(error: finalite::Error) -> Self {
        if error.is_no_rows() { Self::NoAccount } else { Self::Database(error) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::NoAccount => (StatusCode::NOT_FOUND, "no such account").into_response(),
            Self::Overdrawn => (StatusCode::CONFLICT, "not enough cents").into_response(),
            Self::Database(error) => {
                eprintln!("{error}");
                let is_busy = error.is_busy() || error.is_deadline();
                let status = if is_busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
                status.into_response()
            }
        }
    }
}

async fn account(State(pool): State<Pool>, Path(id): Path<i64>) -> Result<Json<i64>, Failure> {
    Ok(Json(pool.query_one("SELECT cents FROM account WHERE id = ?", (id,)).await?))
}

async fn transfer(
    State(pool): State<Pool>,
    Path((payer, payee, cents)): Path<(i64, i64, i64)>,
) -> Result<Json<i64>, Failure> {
    let moved = pool.write_and_then(move |tx| {
        tx.query_one::<i64>("SELECT 1 FROM account WHERE id = ?", (payee,))?;
        let left: i64 =
            tx.query_one("UPDATE account SET cents = cents - ? WHERE id = ? RETURNING cents", (cents, payer))?;
        tx.execute("UPDATE account SET cents = cents + ? WHERE id = ?", (cents, payee))?;
        // The error rolls back.
        if left < 0 || cents <= 0 { Err(Failure::Overdrawn) } else { Ok(left) }
    });
    Ok(Json(moved.await?))
}

/// Lines of a stream of rows, as the body of a response: no faster than the client reads.
struct Lines(RowStream<(i64, i64)>);

impl Stream for Lines {
    type Item = Result<Bytes, finalite::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        task: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let line = |(id, cents): (i64, i64)| Bytes::from(format!("{id} {cents}\n"));
        std::pin::Pin::new(&mut self.0).poll_next(task).map(|row| row.map(|row| row.map(line)))
    }
}

async fn accounts(State(pool): State<Pool>) -> Response {
    Body::from_stream(Lines(pool.stream("SELECT id, cents FROM account ORDER BY id", ()))).into_response()
}

fn router(pool: Pool) -> Router {
    Router::new()
        .route("/account/{id}", get(account))
        .route("/accounts", get(accounts))
        .route("/transfer/{payer}/{payee}/{cents}", post(transfer))
        .with_state(pool.with_deadline(DEADLINE))
        .nest("/sqlite", finalite_endpoint::router())
}

async fn create(pool: &Pool) -> finalite::Result<()> {
    pool.execute("CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)", ()).await?;
    pool.write(|tx| {
        if !tx.exists("SELECT 1 FROM account", ())? {
            let mut insert = tx.prepare("INSERT INTO account VALUES (?, ?)")?;
            insert.execute_many((1..=ACCOUNTS).map(|id| (id, CENTS)))?;
        }
        Ok(())
    })
    .await
}

/// Ends when the service is to end.
async fn end(seconds: Option<f64>) {
    let time = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => {}
        () = signal() => {}
    }
}

#[cfg(unix)]
fn signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened to");
    async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut seconds, mut address) = (None, "127.0.0.1:8018".to_owned());
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match &*argument {
            "--seconds" => seconds = Some(value.parse()?),
            "--address" => address = value,
            other => return Err(format!("{other} is not known: --seconds N, --address HOST:PORT").into()),
        }
    }
    let dir = tempfile::tempdir()?;
    let builder = finalite::pool::Pool::builder(dir.path().join("ledger.db")).readers(4);
    let pool = Pool::open(builder.options(OpenOptions::recommended().pragma("cache_size", -4000))).await?;
    create(&pool).await?;

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, router(pool.clone())).with_graceful_shutdown(end(seconds)).await?;

    let sum: i64 = pool.query_one("SELECT sum(cents) FROM account", ()).await?;
    println!("{ACCOUNTS} accounts hold {sum} cents");
    println!("{}", pool.close().await);
    drop(pool);
    let left = memory::stats();
    println!("left: {} handles, {} native bytes in {} blocks", handles::counts().total(), left.bytes, left.blocks);
    Ok(())
}
