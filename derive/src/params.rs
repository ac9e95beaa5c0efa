//! `#[derive(Params)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Lifetime, Result};

use crate::fields::{Column, Conversion, Fields, extended, fresh_lifetime, is_generic, json, lent_json, option_of};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let fields = Fields::parse(input, "Params")?;
    let p = fresh_lifetime("p", input);
    let bounds = bounds(input, &fields);
    if !fields.are_named {
        return by_position(input, &fields, &p, bounds);
    }
    let name = &input.ident;
    let (_, type_generics, _) = input.generics.split_for_impl();
    let columns = to_columns(input, &fields, &p, bounds.clone());
    let generics = extended(&input.generics, Some(&p), bounds);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #columns

        #[automatically_derived]
        impl #impl_generics ::finalite::Params<#p> for &#p #name #type_generics #where_clause {
            #[inline]
            fn bind(self, binder: &mut ::finalite::Binder<'_, #p>) -> ::finalite::Result<()> {
                ::finalite::derive::bind(self, binder)
            }
        }
    })
}

/// Returns the implementation for a struct whose fields have no names.
fn by_position(input: &DeriveInput, fields: &Fields, p: &Lifetime, bounds: Vec<TokenStream>) -> Result<TokenStream> {
    if let Some(part) = fields.parts.first() {
        let problem =
            "the fields of this struct are bound by position: `flatten` is for structs whose fields have names";
        return Err(Error::new(part.ty.span(), problem));
    }
    let name = &input.ident;
    let (_, type_generics, _) = input.generics.split_for_impl();
    let generics = extended(&input.generics, Some(p), bounds);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let own = fields.columns.len();
    let push = fields.columns.iter().map(push);
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::finalite::Params<#p> for &#p #name #type_generics #where_clause {
            #[inline]
            fn bind(self, binder: &mut ::finalite::Binder<'_, #p>) -> ::finalite::Result<()> {
                binder.reserve(#own)?;
                #(#push?;)*
                ::core::result::Result::Ok(())
            }
        }
    })
}

/// Returns the implementation of `ToColumns`.
fn to_columns(input: &DeriveInput, fields: &Fields, p: &Lifetime, bounds: Vec<TokenStream>) -> TokenStream {
    let name = &input.ident;
    let (_, type_generics, _) = input.generics.split_for_impl();
    let generics = extended(&input.generics, None, bounds);
    let (impl_generics, _, where_clause) = generics.split_for_impl();

    let own = fields.columns.len();
    let names: Vec<&str> = fields.columns.iter().filter_map(|column| column.name.as_deref()).collect();
    let add_own = (own > 0).then(|| quote!(names.add(&[#(#names),*]);));
    let indexes = 0..own;
    let push: Vec<_> = fields.columns.iter().map(push).collect();
    let (push_indexes, value_indexes) = (0..own, 0..own);
    let values = fields.columns.iter().map(value);

    let items =
        |item: &'static str| -> Vec<_> { fields.parts.iter().map(|part| part.item("ToColumns", None, item)).collect() };
    let part_columns = items("COLUMNS");
    let (part_names, part_find) = (items("names"), items("find"));
    let (part_bind_one, part_bind_all, part_value) = (items("bind_one"), items("bind_all"), items("value"));
    let parts = fields.parts.iter().map(|part| {
        let (member, span) = (&part.member, part.ty.span().resolved_at(Span::call_site()));
        quote_spanned!(span=> &self.#member)
    });
    let parts: Vec<_> = parts.collect();
    let prefixes: Vec<_> = fields.parts.iter().map(|part| &part.prefix).collect();
    // The number of columns before each part.
    let before: Vec<_> = (0..part_columns.len())
        .map(|index| {
            let earlier = &part_columns[..index];
            quote!(#own #(+ #earlier)*)
        })
        .collect();

    quote! {
        #[automatically_derived]
        impl #impl_generics ::finalite::ToColumns for #name #type_generics #where_clause {
            const COLUMNS: usize = #own #(+ #part_columns)*;

            fn names(names: &mut ::finalite::derive::ColumnNames) {
                #add_own
                #(names.part(#prefixes, #part_names);)*
            }

            fn find(name: &str) -> ::core::option::Option<usize> {
                match name {
                    #(#names => return ::core::option::Option::Some(#indexes),)*
                    _ => {}
                }
                #(
                    if let ::core::option::Option::Some(column) =
                        name.strip_prefix(#prefixes).and_then(|name| #part_find(name))
                    {
                        return ::core::option::Option::Some(#before + column);
                    }
                )*
                ::core::option::Option::None
            }

            fn bind_one<#p>(
                &#p self,
                column: usize,
                binder: &mut ::finalite::Binder<'_, #p>,
            ) -> ::finalite::Result<()> {
                match column {
                    #(#push_indexes => return #push,)*
                    _ => {}
                }
                #(
                    if column < #before + #part_columns {
                        return #part_bind_one(
                            #parts,
                            column - (#before),
                            binder,
                        );
                    }
                )*
                ::core::result::Result::Ok(())
            }

            #[inline(always)]
            fn value<#p>(&#p self, column: usize) -> ::finalite::Param<#p> {
                match column {
                    #(#value_indexes => return #values,)*
                    _ => {}
                }
                #(
                    if column < #before + #part_columns {
                        return #part_value(#parts, column - (#before));
                    }
                )*
                ::finalite::Param::null()
            }

            #[inline(always)]
            fn bind_all<#p>(&#p self, binder: &mut ::finalite::Binder<'_, #p>) -> ::finalite::Result<()> {
                #(#push?;)*
                #(#part_bind_all(#parts, binder)?;)*
                ::core::result::Result::Ok(())
            }
        }
    }
}

/// Returns the expression that binds a column.
fn push(column: &Column) -> TokenStream {
    let (value, span) = (value(column), column.span());
    quote_spanned!(span=> binder.push(#value))
}

/// Returns the parameter of a column. All go through one function, so that a type that is none is one error.
fn value(column: &Column) -> TokenStream {
    let member = &column.member;
    let span = column.span();
    let json = json();
    match &column.conversion {
        Conversion::Own => quote_spanned!(span=> ::finalite::derive::param(&self.#member)),
        Conversion::With(path) => {
            quote_spanned!(path.span().resolved_at(Span::call_site())=>
                ::finalite::derive::param(#path::to_sql(&self.#member)))
        }
        Conversion::Json if option_of(&column.ty).is_some() => {
            quote_spanned!(span=> ::finalite::derive::param(self.#member.as_ref().map(#json)))
        }
        Conversion::Json => quote_spanned!(span=> ::finalite::derive::param(#json(&self.#member))),
    }
}

/// Returns the bounds of types that mention a type parameter.
fn bounds(input: &DeriveInput, fields: &Fields) -> Vec<TokenStream> {
    let is_generic = |ty| is_generic(ty, &input.generics);
    let columns = fields.columns.iter().filter(|column| is_generic(&column.ty)).filter_map(|column| {
        let ty = &column.ty;
        match &column.conversion {
            Conversion::Own => Some(quote!(#ty: ::finalite::ToSql)),
            Conversion::With(_) => None,
            Conversion::Json => {
                let inner = option_of(ty).unwrap_or(ty);
                Some(lent_json(inner, input))
            }
        }
    });
    let parts = fields.parts.iter().map(|part| &part.ty).filter(|ty| is_generic(ty));
    columns.chain(parts.map(|ty| quote!(#ty: ::finalite::ToColumns))).collect()
}
