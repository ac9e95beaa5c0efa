//! Full-text search: tokenizers and auxiliary functions of the program.

mod functions;
mod tokenizers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use finalite::extend::{CallbackError, TokenizeRequest, Tokenizer, Tokens};
use finalite::{Connection, OpenOptions};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Connections with text as UTF-8 and as UTF-16.
fn open_each() -> [Connection; 2] {
    ["UTF-8", "UTF-16"].map(|encoding| OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap())
}

/// A tokenizer of a closure.
struct Of<F>(F);

impl<F> Tokenizer for Of<F>
where
    F: FnMut(TokenizeRequest<'_>, &mut Tokens<'_>) -> Result<(), CallbackError> + Send + 'static,
{
    fn tokenize(&mut self, request: TokenizeRequest<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackError> {
        self.0(request, tokens)
    }
}

/// Makes a closure a tokenizer: the compiler infers the lifetimes of its arguments here.
fn of<F>(tokenize: F) -> Of<F>
where
    F: FnMut(TokenizeRequest<'_>, &mut Tokens<'_>) -> Result<(), CallbackError> + Send + 'static,
{
    Of(tokenize)
}

/// Passes each word.
fn words(request: TokenizeRequest<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackError> {
    let mut at = 0;
    for word in request.text.split(' ') {
        if !word.is_empty() {
            tokens.push(word.to_lowercase(), at..at + word.len())?;
        }
        at += word.len() + 1;
    }
    Ok(())
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn count(counter: &Arc<AtomicUsize>) -> usize {
    counter.load(Ordering::Relaxed)
}

/// Returns the text of the panic with which a call ends.
fn panic_of<R>(run: impl FnOnce() -> R) -> String {
    let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) else { panic!("no panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}
