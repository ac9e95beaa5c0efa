//! Derive macros of [finalite](https://docs.rs/finalite), which re-exports them by its feature `derive`.

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod attributes;
mod case;
mod fields;
mod from_row;
mod params;
mod value;

fn expand(input: TokenStream, derive: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).unwrap_or_else(|errors| errors.into_compile_error()).into()
}

#[proc_macro_derive(FromRow, attributes(finalite))]
pub fn derive_from_row(input: TokenStream) -> TokenStream {
    expand(input, from_row::derive)
}

#[proc_macro_derive(Params, attributes(finalite))]
pub fn derive_params(input: TokenStream) -> TokenStream {
    expand(input, params::derive)
}

#[proc_macro_derive(FromSql, attributes(finalite))]
pub fn derive_from_sql(input: TokenStream) -> TokenStream {
    expand(input, value::derive_from_sql)
}

#[proc_macro_derive(ToSql, attributes(finalite))]
pub fn derive_to_sql(input: TokenStream) -> TokenStream {
    expand(input, value::derive_to_sql)
}
