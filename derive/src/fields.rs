//! [`Fields`]: the fields of a struct, and what each of them is in a row.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, GenericArgument, Generics, Ident, Lifetime, Member, PathArguments, Result, Type};

use crate::attributes::{DefaultValue, FieldAttributes, TypeAttributes};

/// The fields of a struct.
pub(crate) struct Fields {
    /// Fields that are a column, in order.
    pub(crate) columns: Vec<Column>,
    /// Fields that are several columns, in order.
    pub(crate) parts: Vec<Part>,
    /// Fields that are no column.
    pub(crate) skipped: Vec<(Member, Type)>,
    pub(crate) are_named: bool,
    pub(crate) ignore_extra: bool,
}

/// A field that is a column.
pub(crate) struct Column {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    /// Name of the column. Fields without a name are columns by position.
    pub(crate) name: Option<String>,
    pub(crate) default: Option<DefaultValue>,
    pub(crate) conversion: Conversion,
}

/// Conversion between a field and the value of its column.
pub(crate) enum Conversion {
    /// By `FromSql` and `ToSql` of the field's type.
    Own,
    /// By the functions `from_sql` and `to_sql` in this path.
    With(syn::Path),
    Json,
}

/// A field that is a struct itself, with columns whose names have a prefix.
pub(crate) struct Part {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    pub(crate) prefix: String,
}

impl Fields {
    /// Reads the fields of a struct. `purpose`: the trait that is derived.
    pub(crate) fn parse(input: &DeriveInput, purpose: &str) -> Result<Self> {
        let data = match &input.data {
            Data::Struct(data) => data,
            Data::Enum(data) => {
                let hint = format!("`{purpose}` is for structs; an enum that is one value has `FromSql` and `ToSql`");
                return Err(Error::new(data.enum_token.span, hint));
            }
            Data::Union(data) => {
                return Err(Error::new(data.union_token.span, format!("`{purpose}` is for structs")));
            }
        };
        let attributes = TypeAttributes::parse(&input.attrs)?;
        if let Some(span) = attributes.text {
            return Err(Error::new(span, "`text` is for an enum with `FromSql` or `ToSql`"));
        }
        let are_named = matches!(data.fields, syn::Fields::Named(_));
        if let (Some((_, span)), false) = (attributes.rename_all, are_named) {
            return Err(Error::new(span, "the fields have no names"));
        }
        let mut all = Self {
            columns: Vec::new(),
            parts: Vec::new(),
            skipped: Vec::new(),
            are_named,
            ignore_extra: attributes.ignore_extra,
        };
        let mut errors = None;
        for (index, field) in data.fields.iter().enumerate() {
            let member = match &field.ident {
                Some(name) => Member::Named(name.clone()),
                None => Member::Unnamed(index.into()),
            };
            if let Err(error) = all.add(member, field, &attributes) {
                combine(&mut errors, error);
            }
        }
        if errors.is_none() && all.columns.is_empty() && all.parts.is_empty() {
            errors = Some(Error::new(input.ident.span(), "the struct has no field that is a column"));
        }
        errors.map_or(Ok(all), Err)
    }

    fn add(&mut self, member: Member, field: &syn::Field, of_type: &TypeAttributes) -> Result<()> {
        let attributes = FieldAttributes::parse(&field.attrs)?;
        let ty = field.ty.clone();
        if attributes.skip.is_some() {
            self.skipped.push((member, ty));
            return Ok(());
        }
        if attributes.flatten.is_some() {
            let prefix = attributes.prefix.map(|prefix| prefix.value()).unwrap_or_default();
            self.parts.push(Part { member, ty, prefix });
            return Ok(());
        }
        let conversion = match (attributes.with, attributes.json) {
            (Some(path), _) => Conversion::With(path),
            (None, Some(_)) => Conversion::Json,
            (None, None) => Conversion::Own,
        };
        let mut span = field.ident.span();
        let name = match (attributes.rename, &field.ident) {
            (Some(rename), Some(_)) => {
                span = rename.span();
                Some(rename.value())
            }
            (Some(rename), None) => {
                let problem = "a field without a name is a column by position: `rename` is for fields with names";
                return Err(Error::new(rename.span(), problem));
            }
            (None, Some(ident)) => {
                let name = ident.unraw().to_string();
                Some(of_type.rename_all.map_or(name.clone(), |(case, _)| case.apply(&name)))
            }
            (None, None) => None,
        };
        if let (Some(default), None) = (&attributes.default, &name) {
            let span = match default {
                DefaultValue::Standard(span) => *span,
                DefaultValue::Function(path) => path.span(),
            };
            return Err(Error::new(span, "a field without a name is a column by position, which is never missing"));
        }
        let is_taken = |column: &Column| match (&column.name, &name) {
            (Some(other), Some(name)) => other.eq_ignore_ascii_case(name),
            _ => false,
        };
        if self.columns.iter().any(is_taken) {
            let name = name.unwrap_or_default();
            return Err(Error::new(
                span,
                format!("another field has the column `{name}`: `#[finalite(rename = \"..\")]`"),
            ));
        }
        self.columns.push(Column { member, ty, name, default: attributes.default, conversion });
        Ok(())
    }
}

impl Column {
    /// Returns the span at which errors about the type of the field are shown.
    pub(crate) fn span(&self) -> Span {
        self.ty.span().resolved_at(Span::call_site())
    }
}

impl Part {
    /// Returns an item of finalite's trait for the type: `<T as Trait>::item`. Errors about it are shown at the field.
    pub(crate) fn item(&self, of_trait: &str, lifetime: Option<&Lifetime>, item: &str) -> TokenStream {
        let (ty, span) = (&self.ty, self.ty.span().resolved_at(Span::call_site()));
        let (of_trait, item) = (Ident::new(of_trait, span), Ident::new(item, span));
        let arguments = lifetime.map(|lifetime| quote_spanned!(span=> <#lifetime>));
        quote_spanned!(span=> <#ty as ::finalite::#of_trait #arguments>::#item)
    }
}

/// Adds an error to those that are reported together.
pub(crate) fn combine(errors: &mut Option<Error>, error: Error) {
    match errors {
        Some(all) => all.combine(error),
        None => *errors = Some(error),
    }
}

/// If the type is written as `Option<T>`, returns `T`.
pub(crate) fn option_of(ty: &Type) -> Option<&Type> {
    let path = match ty {
        Type::Path(path) => path,
        // A type that a macro was given.
        Type::Group(group) => return option_of(&group.elem),
        Type::Paren(paren) => return option_of(&paren.elem),
        _ => return None,
    };
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

/// Whether the type mentions a type parameter, so that the implementation depends on what that is.
pub(crate) fn is_generic(ty: &Type, generics: &Generics) -> bool {
    fn mentions(tokens: TokenStream, generics: &Generics) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => generics.type_params().any(|parameter| parameter.ident == ident),
            TokenTree::Group(group) => mentions(group.stream(), generics),
            _ => false,
        })
    }
    mentions(ty.to_token_stream(), generics)
}

/// Returns a lifetime that the type does not mention: not as its own, nor in a `for<'a>` within a field.
pub(crate) fn fresh_lifetime(name: &str, input: &DeriveInput) -> Lifetime {
    let written = input.to_token_stream().to_string();
    let mut name = format!("'{name}");
    while written.contains(&name) {
        name.push('_');
    }
    Lifetime::new(&name, Span::call_site())
}

/// Returns the generics with one more lifetime and these bounds.
pub(crate) fn extended(generics: &Generics, lifetime: Option<&Lifetime>, bounds: Vec<TokenStream>) -> Generics {
    let mut generics = generics.clone();
    if let Some(lifetime) = lifetime {
        generics.params.insert(0, syn::parse_quote!(#lifetime));
    }
    if !bounds.is_empty() {
        let predicates = &mut generics.make_where_clause().predicates;
        predicates.extend(bounds.into_iter().map(|bound| -> syn::WherePredicate { syn::parse_quote!(#bound) }));
    }
    generics
}

/// Returns the lifetime of the row: that of the type, or a new one, which is then an extra parameter.
pub(crate) fn row_lifetime(input: &DeriveInput) -> Result<(Lifetime, bool)> {
    let mut own = input.generics.lifetimes();
    match (own.next(), own.next()) {
        (None, _) => Ok((fresh_lifetime("row", input), true)),
        (Some(only), None) => Ok((only.lifetime.clone(), false)),
        (Some(_), Some(second)) => Err(Error::new(
            second.lifetime.span(),
            "everything that is borrowed from a row has the lifetime of that row: one lifetime is enough",
        )),
    }
}

/// The path of finalite's `Json`.
pub(crate) fn json() -> TokenStream {
    quote!(::finalite::convert::Json)
}

/// Returns the bound that a reference to this type can be bound as JSON.
pub(crate) fn lent_json(inner: &Type, input: &DeriveInput) -> TokenStream {
    let (json, lent) = (json(), fresh_lifetime("lent", input));
    quote!(for<#lent> #json<&#lent #inner>: ::finalite::ToSql)
}
