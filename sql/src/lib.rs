//! SQL that is checked at compile time, for [finalite](https://docs.rs/finalite).

#![deny(missing_docs, unsafe_code)]

use proc_macro::TokenStream;
use quote::quote;
use syn::parse_macro_input;

mod check;
mod expand;
mod input;
mod problem;
#[cfg(test)]
mod proof;
mod schema;
mod shape;
mod tokens;

use input::Input;
use problem::Problem;

/// Checks a statement.
#[proc_macro]
pub fn sql(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as Input);
    expansion(&input).into()
}

fn expansion(input: &Input) -> proc_macro2::TokenStream {
    let sql = input.sql.value();
    let chosen = input.schema.as_ref().map(syn::LitStr::value);
    let (files, expanded) = schema::with(chosen.as_deref(), |schema| {
        expand::expand(input, &check::check(schema, &sql, shape::Rules::default())?)
    });
    // The compiler notes that it has read them, so that a change compiles this again.
    let files: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let files = quote!(#(const _: &[::core::primitive::u8] = ::core::include_bytes!(#files);)*);
    let error = |problem: &Problem| syn::Error::new(input.sql.span(), problem.render(&sql)).into_compile_error();
    let value = expanded.unwrap_or_else(|problem| error(&problem));
    quote!({ #files #value })
}
