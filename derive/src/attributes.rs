//! The attribute `#[finalite(..)]` on types, fields and variants.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, LitStr, Path, Result, Token};

use crate::case::Case;

/// Attributes of a struct or enum.
#[derive(Default)]
pub(crate) struct TypeAttributes {
    pub(crate) rename_all: Option<(Case, Span)>,
    pub(crate) ignore_extra: bool,
    pub(crate) text: Option<Span>,
    /// Where finalite is, if not at `::finalite`.
    pub(crate) finalite: Option<Path>,
}

impl TypeAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                let name = string(&meta)?;
                let case = Case::named(&name.value()).map_err(|problem| Error::new(name.span(), problem))?;
                all.rename_all = Some((case, name.span()));
            } else if meta.path.is_ident("ignore_extra") {
                all.ignore_extra = true;
            } else if meta.path.is_ident("text") {
                all.text = Some(span(&meta));
            } else if meta.path.is_ident("crate") {
                all.finalite = Some(path(&meta)?);
            } else {
                return Err(unknown(&meta, "a type", "`rename_all = \"..\"`, `ignore_extra`, `text`, `crate = path`"));
            }
            Ok(())
        })?;
        Ok(all)
    }
}

/// Attributes of a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) rename: Option<LitStr>,
    pub(crate) default: Option<DefaultValue>,
    pub(crate) skip: Option<Span>,
    pub(crate) flatten: Option<Span>,
    pub(crate) prefix: Option<LitStr>,
    pub(crate) with: Option<Path>,
    pub(crate) json: Option<Span>,
}

/// Value of a field whose column the row lacks.
pub(crate) enum DefaultValue {
    /// `Default::default()`
    Standard(Span),
    Function(Path),
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename") {
                all.rename = Some(string(&meta)?);
            } else if meta.path.is_ident("default") {
                all.default = Some(if meta.input.peek(Token![=]) {
                    DefaultValue::Function(path(&meta)?)
                } else {
                    DefaultValue::Standard(span(&meta))
                });
            } else if meta.path.is_ident("skip") {
                all.skip = Some(span(&meta));
            } else if meta.path.is_ident("flatten") {
                all.flatten = Some(span(&meta));
            } else if meta.path.is_ident("prefix") {
                all.prefix = Some(string(&meta)?);
            } else if meta.path.is_ident("with") {
                all.with = Some(path(&meta)?);
            } else if meta.path.is_ident("json") {
                all.json = Some(span(&meta));
            } else {
                let known = "`rename = \"..\"`, `default`, `skip`, `flatten`, `prefix = \"..\"`, `with = path`, `json`";
                return Err(unknown(&meta, "a field", known));
            }
            Ok(())
        })?;
        all.check()?;
        Ok(all)
    }

    /// Refuses attributes that exclude each other.
    fn check(&self) -> Result<()> {
        use syn::spanned::Spanned;
        let default = self.default.as_ref().map(|default| match default {
            DefaultValue::Standard(span) => *span,
            DefaultValue::Function(path) => path.span(),
        });
        let rename = self.rename.as_ref().map(LitStr::span);
        let prefix = self.prefix.as_ref().map(LitStr::span);
        let with = self.with.as_ref().map(Spanned::span);
        let is_skipped = "a field with `skip` has no column";
        let is_flat = "a field with `flatten` has no column of its own";
        let conflicts = [
            (self.skip, rename.or(default).or(self.flatten).or(prefix).or(with).or(self.json), is_skipped),
            (self.flatten, rename.or(default).or(with).or(self.json), is_flat),
            (with, self.json, "`with` and `json` both convert the value"),
        ];
        for (one, other, why) in conflicts {
            if let (Some(_), Some(span)) = (one, other) {
                return Err(Error::new(span, why));
            }
        }
        match (prefix, self.flatten) {
            (Some(span), None) => {
                Err(Error::new(span, "`prefix` is for a field with `flatten`: `#[finalite(flatten, prefix = \"..\")]`"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the name in a variant's `rename`.
pub(crate) fn variant_name(attributes: &[Attribute]) -> Result<Option<LitStr>> {
    let mut name = None;
    each(attributes, |meta| {
        if !meta.path.is_ident("rename") {
            return Err(unknown(&meta, "a variant", "`rename = \"..\"`"));
        }
        name = Some(string(&meta)?);
        Ok(())
    })?;
    Ok(name)
}

/// Calls a function for each item of the attributes `#[finalite(..)]`. No item may be given twice.
fn each(attributes: &[Attribute], mut read: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    let mut seen: Vec<syn::Ident> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("finalite")) {
        attribute.parse_nested_meta(|meta| {
            if let Some(name) = meta.path.get_ident() {
                if seen.contains(name) {
                    return Err(meta.error("given twice"));
                }
                seen.push(name.clone());
            }
            read(meta)
        })?;
    }
    Ok(())
}

fn span(meta: &ParseNestedMeta<'_>) -> Span {
    use syn::spanned::Spanned;
    meta.path.span()
}

fn string(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    meta.value()?.parse()
}

fn path(meta: &ParseNestedMeta<'_>) -> Result<Path> {
    let value = meta.value()?;
    if value.peek(LitStr) {
        return Err(value.error("a path, without quotes"));
    }
    value.parse()
}

fn unknown(meta: &ParseNestedMeta<'_>, owner: &str, known: &str) -> Error {
    meta.error(format!("no such attribute of {owner}: one of {known}"))
}
