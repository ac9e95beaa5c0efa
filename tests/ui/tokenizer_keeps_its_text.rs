//! error[-]: tokens go to FTS5 while it waits for them
use finalite::extend::{CallbackError, TokenizeRequest, Tokenizer, Tokens};
use finalite::{Connection, Result};

#[derive(Default)]
struct Keeping(Option<&'static str>);

impl Tokenizer for Keeping {
    fn tokenize(
        &mut self,
        request: TokenizeRequest<'_>,
        tokens: &mut Tokens<'_>,
    ) -> std::result::Result<(), CallbackError> {
        tokens.push(request.text, 0..request.text.len())?;
        self.0 = Some(request.text); //~ fails
        self.0 = Some("text"); //~ passes
        Ok(())
    }
}

fn main() -> Result<()> {
    Connection::open_in_memory()?.create_tokenizer("keeping", |_| Ok(Keeping::default()))
}
