//! `#[derive(FromSql)]` and `#[derive(ToSql)]`: newtypes, and enums that are text or integers.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Ident, LitStr, Meta, Result, Token};

use crate::attributes::{TypeAttributes, variant_name};
use crate::fields::{
    Column, Conversion, Fields, combine, extended, fresh_lifetime, is_generic, json, lent_json, option_of, row_lifetime,
};

pub(crate) fn derive_from_sql(input: &DeriveInput) -> Result<TokenStream> {
    if let Data::Enum(data) = &input.data {
        return Ok(Variants::parse(input, data)?.reading(&input.ident));
    }
    let (fields, column) = newtype(input, "FromSql")?;
    let (row, is_new) = row_lifetime(input)?;
    let name = &input.ident;
    let (member, ty, span) = (&column.member, &column.ty, column.span());
    let json = json();
    let (value, bound) = match &column.conversion {
        Conversion::Own => (
            quote_spanned!(span=> <#ty as ::finalite::FromSql<#row>>::from_sql(value)?),
            Some(quote!(#ty: ::finalite::FromSql<#row>)),
        ),
        Conversion::With(path) => (quote!(#path::from_sql(value)?), None),
        Conversion::Json => {
            let inner = option_of(ty).unwrap_or(ty);
            let read = if option_of(ty).is_some() {
                quote_spanned! {span=>
                    <::core::option::Option<#json<#inner>> as ::finalite::FromSql<#row>>::from_sql(value)?
                        .map(|#json(value)| value)
                }
            } else {
                quote_spanned!(span=> <#json<#ty> as ::finalite::FromSql<#row>>::from_sql(value)?.0)
            };
            (read, Some(quote!(#json<#inner>: ::finalite::FromSql<#row>)))
        }
    };
    let mut bounds: Vec<_> = bound.filter(|_| is_generic(ty, &input.generics)).into_iter().collect();
    let skipped: Vec<_> = fields.skipped.iter().map(|(member, _)| member).collect();
    let skipped_types = fields.skipped.iter().map(|(_, ty)| ty).filter(|ty| is_generic(ty, &input.generics));
    bounds.extend(skipped_types.map(|ty| quote!(#ty: ::core::default::Default)));
    let generics = extended(&input.generics, is_new.then_some(&row), bounds);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::finalite::FromSql<#row> for #name #type_generics #where_clause {
            #[inline]
            fn from_sql(
                value: ::finalite::ValueRef<#row>,
            ) -> ::core::result::Result<Self, ::finalite::ConversionError> {
                ::core::result::Result::Ok(Self {
                    #member: #value,
                    #(#skipped: ::core::default::Default::default(),)*
                })
            }
        }
    })
}

pub(crate) fn derive_to_sql(input: &DeriveInput) -> Result<TokenStream> {
    let p = fresh_lifetime("p", input);
    if let Data::Enum(data) = &input.data {
        return Ok(Variants::parse(input, data)?.binding(&input.ident));
    }
    let (_, column) = newtype(input, "ToSql")?;
    let name = &input.ident;
    let (member, ty, span) = (&column.member, &column.ty, column.span());
    let json = json();
    let (lent, given, bound) = match &column.conversion {
        Conversion::Own => (
            quote_spanned!(span=> <#ty as ::finalite::ToSql>::to_sql(&self.#member)),
            Some(quote_spanned!(span=> <#ty as ::finalite::ToSql>::into_param(self.#member))),
            Some(quote!(#ty: ::finalite::ToSql)),
        ),
        Conversion::With(path) => (quote!(#path::to_sql(&self.#member)), None, None),
        Conversion::Json => {
            let inner = option_of(ty).unwrap_or(ty);
            let json_value = if option_of(ty).is_some() {
                quote_spanned!(span=> ::finalite::ToSql::into_param(self.#member.as_ref().map(#json)))
            } else {
                quote_spanned!(span=> ::finalite::ToSql::into_param(#json(&self.#member)))
            };
            (json_value, None, Some(lent_json(inner, input)))
        }
    };
    let bounds = bound.filter(|_| is_generic(ty, &input.generics)).into_iter().collect();
    let generics = extended(&input.generics, None, bounds);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let into_param = given.map(|given| {
        quote! {
            #[inline]
            fn into_param<#p>(self) -> ::finalite::Param<#p>
            where
                Self: #p,
            {
                #given
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::finalite::ToSql for #name #type_generics #where_clause {
            #[inline]
            fn to_sql(&self) -> ::finalite::Param<'_> {
                #lent
            }

            #into_param
        }
    })
}

/// Returns the only field that is a value.
fn newtype(input: &DeriveInput, purpose: &str) -> Result<(Fields, Column)> {
    let mut fields = Fields::parse(input, purpose)?;
    let problem = format!(
        "`{purpose}` is for a struct that is one value, with one field: a struct of several columns has `FromRow` and \
         `Params`"
    );
    if let Some(part) = fields.parts.first() {
        return Err(Error::new(part.ty.span(), problem));
    }
    match (fields.columns.pop(), fields.columns.is_empty()) {
        (Some(column), true) => Ok((fields, column)),
        _ => Err(Error::new(input.ident.span(), problem)),
    }
}

/// The variants of an enum without fields.
struct Variants {
    names: Vec<Ident>,
    form: Form,
}

/// What the variants are in SQLite.
enum Form {
    /// Each variant's text.
    Text(Vec<String>),
    /// The discriminants, of this type.
    Integer(Ident),
}

impl Variants {
    fn parse(input: &DeriveInput, data: &DataEnum) -> Result<Self> {
        let attributes = TypeAttributes::parse(&input.attrs)?;
        let repr = integer_repr(&input.attrs).filter(|_| attributes.text.is_none());
        let mut errors = None;
        if data.variants.is_empty() {
            combine(&mut errors, Error::new(input.ident.span(), "an enum without variants has no values"));
        }
        if let (Some(repr), Some((_, span))) = (&repr, attributes.rename_all) {
            combine(&mut errors, Error::new(span, stored_as_integer(repr)));
        }
        let mut texts: Vec<String> = Vec::new();
        for variant in &data.variants {
            if !variant.fields.is_empty() {
                let problem = "a variant with fields is no single value: implement `FromSql` and `ToSql` by hand";
                combine(&mut errors, Error::new(variant.fields.span(), problem));
            }
            let mut span = variant.ident.span();
            let mut name = variant.ident.unraw().to_string();
            if let Some((case, _)) = attributes.rename_all {
                name = case.apply(&name);
            }
            match (variant_name(&variant.attrs), &repr) {
                (Err(error), _) => combine(&mut errors, error),
                (Ok(Some(rename)), Some(repr)) => {
                    combine(&mut errors, Error::new(rename.span(), stored_as_integer(repr)));
                }
                (Ok(Some(rename)), None) => {
                    span = LitStr::span(&rename);
                    name = rename.value();
                }
                (Ok(None), _) => {}
            }
            if repr.is_none() && texts.contains(&name) {
                combine(&mut errors, Error::new(span, format!("another variant has the text {name:?}")));
            }
            texts.push(name);
        }
        if let Some(errors) = errors {
            return Err(errors);
        }
        let names = data.variants.iter().map(|variant| variant.ident.clone()).collect();
        let form = match repr {
            Some(repr) => Form::Integer(repr),
            None => Form::Text(texts),
        };
        Ok(Self { names, form })
    }

    fn reading(&self, name: &Ident) -> TokenStream {
        let rust_type = name.unraw().to_string();
        let variants = &self.names;
        let (consts, pattern, cases, problem) = match &self.form {
            Form::Text(texts) => {
                let bytes = texts.iter().map(|text| syn::LitByteStr::new(text.as_bytes(), Span::call_site()));
                let cases = quote!(#(#bytes => ::core::result::Result::Ok(Self::#variants),)*);
                (None, quote!(Text), cases, format!("not one of {}", texts.join(", ")))
            }
            Form::Integer(repr) => {
                let numbers: Vec<Ident> = (0..variants.len()).map(|index| format_ident!("NUMBER_{index}")).collect();
                let checks = checks(name, variants, repr);
                let consts = quote!(#checks #(const #numbers: i64 = #name::#variants as i64;)*);
                let cases = quote!(#(#numbers => ::core::result::Result::Ok(Self::#variants),)*);
                (Some(consts), quote!(Integer), cases, "no variant has this number".to_owned())
            }
        };
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl ::finalite::FromSql<'_> for #name {
                fn from_sql(
                    value: ::finalite::ValueRef<'_>,
                ) -> ::core::result::Result<Self, ::finalite::ConversionError> {
                    #consts
                    match value {
                        ::finalite::ValueRef::#pattern(value) => match value {
                            #cases
                            _ => ::core::result::Result::Err(
                                ::finalite::ConversionError::message(#rust_type, #problem),
                            ),
                        },
                        _ => ::core::result::Result::Err(::finalite::ConversionError::wrong_type(#rust_type)),
                    }
                }
            }
        }
    }

    fn binding(&self, name: &Ident) -> TokenStream {
        let variants = &self.names;
        let (checks, value) = match &self.form {
            Form::Text(texts) => (None, quote!(::finalite::Param::text(match self { #(Self::#variants => #texts,)* }))),
            Form::Integer(repr) => (
                checks(name, variants, repr),
                quote!(::finalite::Param::integer(match self { #(Self::#variants => #name::#variants as i64,)* })),
            ),
        };
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl ::finalite::ToSql for #name {
                fn to_sql(&self) -> ::finalite::Param<'_> {
                    #checks
                    #value
                }

                fn into_param<'p>(self) -> ::finalite::Param<'p>
                where
                    Self: 'p,
                {
                    #value
                }
            }
        }
    }
}

/// Returns checks, at compile time, that each variant's number is an INTEGER of SQLite, if the type has others.
fn checks(name: &Ident, variants: &[Ident], repr: &Ident) -> Option<TokenStream> {
    let wide = match &*repr.to_string() {
        "u64" | "usize" | "u128" => quote!(u128),
        "i128" => quote!(i128),
        _ => return None,
    };
    let checks = variants.iter().map(|variant| {
        let problem = format!("`{variant}` does not fit in an INTEGER of SQLite, 64 bits with sign");
        let span = variant.span().resolved_at(Span::call_site());
        let number = quote!(#name::#variant as #wide);
        // A number that is too big wraps to a negative one.
        let is_same_sign = (wide.to_string() == "u128").then(|| quote!(&& #name::#variant as i64 >= 0));
        quote_spanned!(span=> const _: () = ::core::assert!(
            (#name::#variant as i64) as #wide == #number #is_same_sign,
            #problem
        );)
    });
    Some(quote!(#(#checks)*))
}

fn stored_as_integer(repr: &Ident) -> String {
    format!("`#[repr({repr})]` makes the enum an integer: `#[finalite(text)]` on the enum makes it text")
}

/// Returns the integer type in `#[repr(..)]`.
fn integer_repr(attributes: &[Attribute]) -> Option<Ident> {
    const INTEGERS: [&str; 12] =
        ["i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize"];
    let reprs = attributes.iter().filter(|attribute| attribute.path().is_ident("repr"));
    let mut all = reprs.filter_map(|attribute| match &attribute.meta {
        Meta::List(list) => list
            .parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated)
            .ok()?
            .iter()
            .filter_map(|meta| meta.path().get_ident().cloned())
            .find(|ident| INTEGERS.iter().any(|integer| ident == integer)),
        _ => None,
    });
    all.next()
}
