//! The key that a checked statement becomes, and the struct of its rows.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{format_ident, quote};
use syn::Type;

use crate::check::{Checked, Column, Kind, Nullable};
use crate::input::Input;
use crate::problem::Problem;

/// Returns the expression of type `StatementKey<P, T>`.
pub(crate) fn expand(input: &Input, checked: &Checked) -> Result<TokenStream, Problem> {
    let parameters = match (checked.parameters, checked.all_named) {
        (0, _) => quote!(()),
        (count, true) => quote!(::finalite::NamedParams<#count>),
        (count, false) => quote!(::finalite::AnyParams<#count>),
    };
    let sql = &input.sql;
    let key = |row: TokenStream| quote!(::finalite::StatementKey::<#parameters, #row>::new(#sql));
    match (&input.row, &checked.columns[..]) {
        (Some(_), []) => Err(Problem::new("the statement returns no rows, so that they have no type")),
        (Some(Type::Tuple(tuple)), columns) if tuple.elems.len() != columns.len() => {
            let (types, columns) = (tuple.elems.len(), columns.len());
            let message = format!("the number of columns is {columns}, and the tuple has {types}");
            Err(Problem::new(message))
        }
        (Some(row), columns) => {
            let (comparison, key) = (comparison(row, columns), key(quote!(#row)));
            Ok(quote!(#comparison #key))
        }
        (None, []) => Ok(key(quote!(()))),
        (None, [column]) => {
            let field = Field::of(column);
            let ty = field.ty(&quote!(_));
            Ok(key(ty))
        }
        (None, columns) => {
            let fields = fields(columns)?;
            let record = record(&fields);
            let inferred = fields.iter().filter(|(_, field)| field.ty.is_none()).map(|_| quote!(_));
            let key = key(quote!(Record<#(#inferred),*>));
            Ok(quote!(#record #key))
        }
    }
}

/// Returns what compares the columns with the fields of a type that derives `FromRow`.
fn comparison(row: &Type, columns: &[Column]) -> TokenStream {
    let shown = quote!(#row).to_string();
    let columns = columns.iter().enumerate().map(|(index, column)| {
        let name = &column.name;
        let hint = "give it one, or the struct `#[finalite(ignore_extra)]`";
        let message = format!("no field of `{shown}` reads column {}, `{name}`: {hint}", index + 1);
        quote!((#name, #message))
    });
    let check = quote! {
        #[allow(unused_imports)]
        use ::finalite::derive::Unlisted as _;
        ::finalite::derive::ColumnList::check(::finalite::derive::Listed::<#row>::LIST, &[#(#columns),*]);
    };
    // An item is looked at by `cargo check`, too, but cannot name what is generic around it.
    if may_be_generic(quote!(#row)) { quote!(const { #check };) } else { quote!(const _: () = { #check };) }
}

/// Whether a type mentions `Self`, a lifetime, or a name that only type parameters have: `T`, `K2`.
fn may_be_generic(ty: TokenStream) -> bool {
    ty.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => {
            let name = ident.to_string();
            name == "Self" || (name.len() <= 2 && name.starts_with(|c: char| c.is_ascii_uppercase()))
        }
        TokenTree::Group(group) => may_be_generic(group.stream()),
        TokenTree::Punct(punct) => punct.as_char() == '\'',
        TokenTree::Literal(_) => false,
    })
}

/// A column as a field.
struct Field<'a> {
    column: &'a Column,
    /// Name in Rust.
    name: &'a str,
    /// `None` if the use of the field decides.
    ty: Option<TokenStream>,
    is_option: bool,
}

impl<'a> Field<'a> {
    fn of(column: &'a Column) -> Self {
        let written = Override::parse(&column.name);
        let (name, null, ty) = match &written {
            Some(written) => (written.name, written.null, written.ty.as_ref()),
            None => (&*column.name, None, None),
        };
        let is_option = match null {
            Some(null) => null,
            None => column.nullable == Nullable::Possible && !ty.is_some_and(is_option),
        };
        let ty = match (ty, column.kind) {
            (Some(Type::Infer(_)), _) => None,
            (Some(ty), _) => Some(quote!(#ty)),
            (None, kind) => kind.map(rust_type),
        };
        Self { column, name, ty, is_option }
    }

    /// Returns the type, where this one stands for one that the use decides.
    fn ty(&self, inferred: &TokenStream) -> TokenStream {
        let ty = self.ty.as_ref().unwrap_or(inferred);
        if self.is_option { quote!(::core::option::Option<#ty>) } else { quote!(#ty) }
    }
}

fn rust_type(kind: Kind) -> TokenStream {
    match kind {
        Kind::Integer => quote!(::core::primitive::i64),
        Kind::Real => quote!(::core::primitive::f64),
        Kind::Text => quote!(::std::string::String),
        Kind::Blob => quote!(::std::vec::Vec<::core::primitive::u8>),
        Kind::Boolean => quote!(::core::primitive::bool),
    }
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

/// A type that is written into the name of a column: `"name!"`, `"name?"`, `"name: Type"`.
struct Override<'a> {
    name: &'a str,
    /// Whether it is an `Option`.
    null: Option<bool>,
    ty: Option<Type>,
}

impl<'a> Override<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let end = text.find(['!', '?', ':'])?;
        let (name, rest) = text.split_at(end);
        let name = name.trim();
        ident(name)?;
        let (null, rest) = match rest.strip_prefix('!') {
            Some(rest) => (Some(false), rest),
            None => match rest.strip_prefix('?') {
                Some(rest) => (Some(true), rest),
                None => (None, rest),
            },
        };
        let ty = match rest.trim() {
            "" => None,
            rest => Some(syn::parse_str(rest.strip_prefix(':')?).ok()?),
        };
        Some(Self { name, null, ty })
    }
}

/// Returns the name as an identifier, raw if it is a keyword.
fn ident(name: &str) -> Option<Ident> {
    syn::parse_str(name).or_else(|_| syn::parse_str(&format!("r#{name}"))).ok()
}

fn fields(columns: &[Column]) -> Result<Vec<(Ident, Field<'_>)>, Problem> {
    let mut fields: Vec<(Ident, Field<'_>)> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let number = index + 1;
        let field = Field::of(column);
        let Some(name) = ident(field.name) else {
            let message = format!("column {number}, `{}`, has no name that a field can have", column.name);
            return Err(Problem::new(message).at(column.at).help(format!("name it: `{} AS name`", column.name)));
        };
        if let Some(first) = fields.iter().position(|(_, other)| other.name.eq_ignore_ascii_case(field.name)) {
            let message = format!("columns {} and {number} are both called `{}`", first + 1, field.name);
            return Err(Problem::new(message).at(column.at).help("name one of them: `AS name`"));
        }
        fields.push((name, field));
    }
    Ok(fields)
}

/// Returns the struct of a row, with what `#[derive(FromRow)]` implements.
fn record(fields: &[(Ident, Field<'_>)]) -> TokenStream {
    let count = fields.len();
    let mut inferred = Vec::new();
    let mut types = Vec::new();
    for (index, (_, field)) in fields.iter().enumerate() {
        let parameter = format_ident!("Inferred{index}");
        types.push(field.ty(&quote!(#parameter)));
        if field.ty.is_none() {
            inferred.push(parameter);
        }
    }
    let names: Vec<&Ident> = fields.iter().map(|(name, _)| name).collect();
    let columns: Vec<&str> = fields.iter().map(|(_, field)| &*field.column.name).collect();
    let places: Vec<Ident> = (0..count).map(|index| format_ident!("column_{index}")).collect();
    quote! {
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::cmp::PartialEq)]
        #[allow(dead_code, non_snake_case)]
        pub struct Record<#(#inferred),*> {
            #(pub #names: #types,)*
        }

        #[automatically_derived]
        impl<'row, #(#inferred: ::finalite::FromSql<'row>),*> ::finalite::FromColumns<'row> for Record<#(#inferred),*> {
            const COLUMNS: usize = #count;

            fn find(finder: &mut ::finalite::derive::ColumnFinder<'_>) -> ::finalite::Result<()> {
                #(finder.name(#columns)?;)*
                ::core::result::Result::Ok(())
            }

            #[inline(always)]
            fn read(cells: &mut ::finalite::derive::Cells<'row>) -> ::finalite::Result<Self> {
                let [#(#places),*] = cells.take::<#count>()?;
                ::core::result::Result::Ok(Self { #(#names: cells.get(#places)?,)* })
            }
        }

        #[automatically_derived]
        impl<'row, #(#inferred: ::finalite::FromSql<'row>),*> ::finalite::FromRow<'row> for Record<#(#inferred),*> {
            #[inline(always)]
            fn from_row(row: ::finalite::Row<'row>) -> ::finalite::Result<Self> {
                ::finalite::derive::read_row(row)
            }
        }
    }
}
