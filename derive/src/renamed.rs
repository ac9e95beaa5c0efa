//! Programs that know finalite by another name.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{DeriveInput, Ident, Path, Result};

use crate::attributes::TypeAttributes;

/// Returns derived code with the path in `#[finalite(crate = path)]` in place of each `::finalite`.
pub(crate) fn renamed(code: TokenStream, input: &DeriveInput) -> Result<TokenStream> {
    let finalite = TypeAttributes::parse(&input.attrs)?.finalite;
    Ok(match finalite {
        Some(path) => replaced(code, &path),
        None => code,
    })
}

fn replaced(code: TokenStream, path: &Path) -> TokenStream {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    let mut all: Vec<TokenTree> = Vec::new();
    for token in code {
        match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), replaced(group.stream(), path));
                inner.set_span(group.span());
                all.push(inner.into());
            }
            TokenTree::Ident(ident) if ident == "finalite" && starts_path(&all, is_colon) => {
                all.truncate(all.len() - 2);
                all.extend(path.to_token_stream());
            }
            token => all.push(token),
        }
    }
    all.into_iter().collect()
}

/// Whether the last tokens are colons that begin a path: those of `a::finalite` follow a name.
fn starts_path(before: &[TokenTree], is_colon: impl Fn(&TokenTree) -> bool) -> bool {
    let is_name = |ident: &Ident| {
        let is_keyword = syn::parse2::<Ident>(ident.to_token_stream()).is_err();
        !is_keyword || ["crate", "self", "super", "Self"].iter().any(|name| ident == name)
    };
    match before {
        [before @ .., one, two] if is_colon(one) && is_colon(two) => {
            !matches!(before.last(), Some(TokenTree::Ident(ident)) if is_name(ident))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use syn::{DeriveInput, parse_quote};

    use super::renamed;
    use crate::{from_row, params, value};

    #[test]
    fn no_derived_code_knows_finalite_by_its_own_name() {
        let a_struct: DeriveInput = parse_quote! {
            #[finalite(crate = app::database, ignore_extra)]
            struct Row<'row, T> {
                a: Option<T>,
                #[finalite(json)]
                b: Option<T>,
                #[finalite(flatten)]
                c: T,
                #[finalite(default, with = app::finalite::seconds)]
                d: &'row str,
            }
        };
        let by_position: DeriveInput = parse_quote! {
            #[finalite(crate = app::database)]
            struct Row<T>(T, #[finalite(json)] T);
        };
        let newtype: DeriveInput = parse_quote! {
            #[finalite(crate = app::database)]
            struct Json<T>(#[finalite(json)] Option<T>);
        };
        let number: DeriveInput = parse_quote! {
            #[finalite(crate = app::database)]
            #[repr(u64)]
            enum Number { A }
        };
        let text: DeriveInput = parse_quote! {
            #[finalite(crate = app::database)]
            enum Text { A }
        };
        for input in [&a_struct, &by_position] {
            check(from_row::derive(input), input);
            check(params::derive(input), input);
        }
        for input in [&newtype, &number, &text] {
            check(value::derive_from_sql(input), input);
            check(value::derive_to_sql(input), input);
        }
    }

    fn check(derived: syn::Result<proc_macro2::TokenStream>, input: &DeriveInput) {
        let derived = derived.unwrap();
        assert!(derived.to_string().contains(":: finalite ::"));
        let code = renamed(derived, input).unwrap().to_string();
        assert!(code.contains("app :: database ::"), "{code}");
        assert!(!code.replace("app :: finalite ::", "").contains("finalite"), "{code}");
    }
}
