//! `#[derive(FromRow)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Ident, Lifetime, Result};

use crate::attributes::DefaultValue;
use crate::fields::{Column, Conversion, Fields, extended, is_generic, json, option_of, row_lifetime};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let fields = Fields::parse(input, "FromRow")?;
    let (row, is_new) = row_lifetime(input)?;
    let name = &input.ident;
    let generics = extended(&input.generics, is_new.then_some(&row), bounds(input, &fields, &row));
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = input.generics.split_for_impl();

    let own = fields.columns.len();
    let parts = &fields.parts;
    let part_columns = parts.iter().map(|part| part.item("FromColumns", Some(&row), "COLUMNS"));
    let find_own = fields.columns.iter().map(find);
    let find_parts = parts.iter().map(|part| {
        let (prefix, find) = (&part.prefix, part.item("FromColumns", Some(&row), "find"));
        quote!(finder.part(#prefix, #find)?;)
    });
    let ignore_extra = fields.ignore_extra.then(|| quote!(finder.ignore_extra();));

    let list = column_list(input, &fields);

    let places: Vec<Ident> = (0..own).map(|index| format_ident!("column_{index}")).collect();
    let take = (own > 0).then(|| quote!(let [#(#places),*] = cells.take::<#own>()?;));
    let read_own = fields.columns.iter().zip(&places).map(|(column, place)| {
        let (member, value) = (&column.member, read(column, place));
        quote!(#member: #value,)
    });
    let read_parts = parts.iter().map(|part| {
        let (member, read) = (&part.member, part.item("FromColumns", Some(&row), "read"));
        quote!(#member: #read(cells)?,)
    });
    let skipped = fields.skipped.iter().map(|(member, ty)| {
        let span = ty.span().resolved_at(proc_macro2::Span::call_site());
        quote_spanned!(span=> #member: <#ty as ::core::default::Default>::default(),)
    });

    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::finalite::FromColumns<#row> for #name #type_generics #where_clause {
            const COLUMNS: usize = #own #(+ #part_columns)*;

            #list

            fn find(finder: &mut ::finalite::derive::ColumnFinder<'_>) -> ::finalite::Result<()> {
                #ignore_extra
                #(#find_own)*
                #(#find_parts)*
                ::core::result::Result::Ok(())
            }

            #[inline(always)]
            fn read(cells: &mut ::finalite::derive::Cells<#row>) -> ::finalite::Result<Self> {
                #take
                ::core::result::Result::Ok(Self { #(#read_own)* #(#read_parts)* #(#skipped)* })
            }
        }

        #[automatically_derived]
        impl #impl_generics ::finalite::FromRow<#row> for #name #type_generics #where_clause {
            #[inline(always)]
            fn from_row(row: ::finalite::Row<#row>) -> ::finalite::Result<Self> {
                ::finalite::derive::read_row(row)
            }
        }
    })
}

/// Returns the list of the columns, unless some are those of a part, or have no name.
fn column_list(input: &DeriveInput, fields: &Fields) -> Option<TokenStream> {
    if !fields.are_named || !fields.parts.is_empty() {
        return None;
    }
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for column in &fields.columns {
        let name = column.name.as_ref()?;
        if column.default.is_some() {
            optional.push(name);
        } else {
            let message = format!("the statement has no column `{name}`, which `{}` reads", input.ident);
            required.push(quote!((#name, #message)));
        }
    }
    let ignores_extra = fields.ignore_extra;
    Some(quote! {
        const LIST: ::core::option::Option<&'static ::finalite::derive::ColumnList> =
            ::core::option::Option::Some(&::finalite::derive::ColumnList {
                required: &[#(#required),*],
                optional: &[#(#optional),*],
                ignores_extra: #ignores_extra,
            });
    })
}

/// Returns the statement that finds a column.
fn find(column: &Column) -> TokenStream {
    match (&column.name, &column.default) {
        (None, _) => quote!(finder.position()?;),
        (Some(name), None) => quote!(finder.name(#name)?;),
        (Some(name), Some(_)) => quote!(finder.optional_name(#name)?;),
    }
}

/// Returns the expression that reads a column.
fn read(column: &Column, place: &Ident) -> TokenStream {
    let ty = &column.ty;
    let span = column.span();
    let json = json();
    let value = match &column.conversion {
        Conversion::Own => quote_spanned!(span=> cells.get::<#ty>(#place)?),
        Conversion::With(path) => {
            quote_spanned!(path.span().resolved_at(proc_macro2::Span::call_site())=>
                cells.get_with::<#ty>(#place, #path::from_sql)?)
        }
        Conversion::Json => match option_of(ty) {
            Some(inner) => quote_spanned! {span=>
                cells.get::<::core::option::Option<#json<#inner>>>(#place)?.map(|#json(value)| value)
            },
            None => quote_spanned!(span=> { let #json(value) = cells.get::<#json<#ty>>(#place)?; value }),
        },
    };
    let default = match &column.default {
        None => return value,
        Some(DefaultValue::Standard(_)) => quote_spanned!(span=> <#ty as ::core::default::Default>::default()),
        Some(DefaultValue::Function(path)) => quote!(#path()),
    };
    quote!(if cells.has(#place) { #value } else { #default })
}

/// Returns the bounds of types that mention a type parameter.
fn bounds(input: &DeriveInput, fields: &Fields, row: &Lifetime) -> Vec<TokenStream> {
    let is_generic = |ty| is_generic(ty, &input.generics);
    let json = json();
    let columns = fields.columns.iter().filter(|column| is_generic(&column.ty)).flat_map(|column| {
        let ty = &column.ty;
        let value = match &column.conversion {
            Conversion::Own => Some(quote!(#ty: ::finalite::FromSql<#row>)),
            Conversion::With(_) => None,
            Conversion::Json => {
                let inner = option_of(ty).unwrap_or(ty);
                Some(quote!(#json<#inner>: ::finalite::FromSql<#row>))
            }
        };
        let default =
            matches!(column.default, Some(DefaultValue::Standard(_))).then(|| quote!(#ty: ::core::default::Default));
        [value, default].into_iter().flatten()
    });
    let parts = fields.parts.iter().map(|part| &part.ty).filter(|ty| is_generic(ty));
    let skipped = fields.skipped.iter().map(|(_, ty)| ty).filter(|ty| is_generic(ty));
    columns
        .chain(parts.map(|ty| quote!(#ty: ::finalite::FromColumns<#row>)))
        .chain(skipped.map(|ty| quote!(#ty: ::core::default::Default)))
        .collect()
}
