//! [`Input`]: the text between the parentheses of `sql!`.

use syn::parse::{Parse, ParseStream};
use syn::{LitStr, Result, Token, Type};

/// `schema = "path", "SQL" as Type`
pub(crate) struct Input {
    pub(crate) schema: Option<LitStr>,
    pub(crate) sql: LitStr,
    pub(crate) row: Option<Type>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut schema = None;
        if input.peek(syn::Ident) && input.peek2(Token![=]) {
            let name: syn::Ident = input.parse()?;
            if name != "schema" {
                return Err(syn::Error::new(name.span(), "no such setting: `schema = \"path\"`"));
            }
            input.parse::<Token![=]>()?;
            schema = Some(input.parse()?);
            input.parse::<Token![,]>()?;
        }
        if !input.peek(LitStr) {
            return Err(
                input.error("the SQL is a string literal, as it has to be known to the compiler: sql!(\"SELECT ..\")")
            );
        }
        let sql = input.parse()?;
        let row = if input.peek(Token![as]) {
            input.parse::<Token![as]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(
                input.error("values are passed where the statement is run: sql!(\"..\").query_one(&conn, (value,))")
            );
        }
        Ok(Self { schema, sql, row })
    }
}
