//! Writes mutants into a copy of the source, each behind a switch that is read from the environment: one build then
//! serves all of them.
//!
//! Arguments: the root of the copy, and a file with a mutant on each line, as its number, file, genre, first line, first
//! column and replacement, separated by tabs. Lines and columns are 1-based. Files are written in place. Each number is
//! printed with `switched`; with `apart` if the mutant is in a constant, which cannot read a switch; with `unviable` if it
//! cannot be parsed; with `absent` if the configuration leaves it out; or with `unknown` if it was not found. The variable
//! `FINALITE_CFG` has the configuration, as `rustc --print cfg` prints it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::{env, fs};

use proc_macro2::{LineColumn, Span};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, Token};

/// A mutant as it is listed.
struct Listed {
    number: u32,
    genre: String,
    at: LineColumn,
    replacement: String,
}

/// A part of a text that is replaced. Of two that begin and end together, the lesser is the outer one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// The statements of a function: a mutant returns before them.
    Body,
    /// The condition of a match arm.
    Guard,
    /// The place after a pattern without a condition: the arm is left out by one that is false.
    Pattern,
    /// The value of a field of a struct that has a base, the text.
    Field(String),
    /// An operator at the offset, before its operand.
    Unary(usize),
    /// An operator at the offsets, between its operands.
    Binary(usize, usize),
}

struct Edit {
    extent: Range<usize>,
    form: Form,
    /// Numbers and replacements.
    mutants: Vec<(u32, String)>,
}

/// Finds the extents of mutants in the syntax of one file.
struct Finder<'a> {
    source: &'a str,
    listed: HashMap<(usize, usize), Vec<&'a Listed>>,
    edits: Vec<Edit>,
    verdicts: BTreeMap<u32, &'static str>,
    configuration: Vec<String>,
    /// Constants that surround the place.
    constants: u32,
    /// Surrounding parts that the configuration leaves out.
    absent: u32,
}

impl Finder<'_> {
    /// Puts the mutants of the genre that begin here behind switches.
    fn found(&mut self, genre: &str, at: Span, extent: Range<usize>, form: &Form) {
        let at = at.start();
        let mutants: Vec<(u32, String)> = self.listed.get(&(at.line, at.column)).map_or(vec![], |listed| {
            let of_genre = listed.iter().filter(|mutant| mutant.genre == genre);
            of_genre.map(|mutant| (mutant.number, mutant.replacement.clone())).collect()
        });
        let verdict = match (self.absent, self.constants) {
            (0, 0) => "switched",
            (0, _) => "apart",
            _ => "absent",
        };
        self.verdicts.extend(mutants.iter().map(|(number, _)| (*number, verdict)));
        if verdict == "switched" && !mutants.is_empty() {
            self.edits.push(Edit { extent, form: form.clone(), mutants });
        }
    }

    /// Walks through what has these attributes.
    fn under(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        let holds = |attribute: &Attribute| match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg") => {
                list.parse_args().is_ok_and(|predicate| is_set(&predicate, &self.configuration))
            }
            _ => true,
        };
        let absent = u32::from(!attributes.iter().all(holds));
        self.absent += absent;
        walk(self);
        self.absent -= absent;
    }

    fn unviable(&mut self, at: Span) {
        let listed = self.listed.get(&(at.start().line, at.start().column));
        self.verdicts.extend(listed.into_iter().flatten().map(|mutant| (mutant.number, "unviable")));
    }

    fn function(&mut self, block: &syn::Block, walk: impl FnOnce(&mut Self)) {
        if let [first, .., last] | [first @ last] = &*block.stmts {
            let extent = first.span().byte_range().start..last.span().byte_range().end;
            self.found("FnValue", first.span(), extent, &Form::Body);
        }
        walk(self);
    }

    fn constant(&mut self, walk: impl FnOnce(&mut Self)) {
        self.constants += 1;
        walk(self);
        self.constants -= 1;
    }
}

/// Whether a predicate of `cfg` holds.
fn is_set(predicate: &Meta, configuration: &[String]) -> bool {
    let parts = |list: &syn::MetaList| list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap();
    match predicate {
        Meta::Path(path) => path.get_ident().is_some_and(|name| configuration.iter().any(|set| name == set)),
        Meta::NameValue(pair) => {
            let pair = pair.to_token_stream().to_string().replace(" = ", "=");
            configuration.contains(&pair)
        }
        Meta::List(list) if list.path.is_ident("not") => !parts(list).iter().any(|part| is_set(part, configuration)),
        Meta::List(list) if list.path.is_ident("any") => parts(list).iter().any(|part| is_set(part, configuration)),
        Meta::List(list) => parts(list).iter().all(|part| is_set(part, configuration)),
    }
}

fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.under(&item.attrs, |finder| {
            finder.function(&item.block, |finder| visit::visit_item_fn(finder, item));
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.under(&item.attrs, |finder| {
            finder.function(&item.block, |finder| visit::visit_impl_item_fn(finder, item));
        });
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.under(&item.attrs, |finder| visit::visit_item_impl(finder, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.under(&item.attrs, |finder| visit::visit_item_mod(finder, item));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        self.under(&local.attrs, |finder| visit::visit_local(finder, local));
    }

    fn visit_expr_block(&mut self, block: &'ast syn::ExprBlock) {
        self.under(&block.attrs, |finder| visit::visit_expr_block(finder, block));
    }

    fn visit_expr_if(&mut self, expression: &'ast syn::ExprIf) {
        self.under(&expression.attrs, |finder| visit::visit_expr_if(finder, expression));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        match &item.default {
            Some(block) => self.function(block, |finder| visit::visit_trait_item_fn(finder, item)),
            None => visit::visit_trait_item_fn(self, item),
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(|finder| visit::visit_item_const(finder, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(|finder| visit::visit_impl_item_const(finder, item));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.constant(|finder| visit::visit_trait_item_const(finder, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constant(|finder| visit::visit_item_static(finder, item));
    }

    fn visit_expr_const(&mut self, expression: &'ast syn::ExprConst) {
        self.constant(|finder| visit::visit_expr_const(finder, expression));
    }

    fn visit_type_array(&mut self, array: &'ast syn::TypeArray) {
        self.constant(|finder| visit::visit_type_array(finder, array));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.constant(|finder| visit::visit_variant(finder, variant));
    }

    fn visit_expr_binary(&mut self, expression: &'ast syn::ExprBinary) {
        let operator = expression.op.span();
        if has_let(&expression.left) || has_let(&expression.right) {
            // `||` beside `let` is no expression.
            self.unviable(operator);
        } else {
            let bytes = operator.byte_range();
            let form = Form::Binary(bytes.start, bytes.end);
            self.found("BinaryOperator", operator, expression.span().byte_range(), &form);
        }
        visit::visit_expr_binary(self, expression);
    }

    fn visit_expr_unary(&mut self, expression: &'ast syn::ExprUnary) {
        let operator = expression.op.span();
        let form = Form::Unary(operator.byte_range().end);
        self.found("UnaryOperator", operator, expression.span().byte_range(), &form);
        visit::visit_expr_unary(self, expression);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let end = arm.pat.span().byte_range().end;
        self.found("MatchArm", arm.span(), end..end, &Form::Pattern);
        if let Some((_, guard)) = &arm.guard {
            self.found("MatchArmGuard", guard.span(), guard.span().byte_range(), &Form::Guard);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        if let Some(base) = &expression.rest {
            let base = &self.source[base.span().byte_range()];
            for field in expression.fields.iter().filter(|field| field.colon_token.is_some()) {
                let syn::Member::Named(name) = &field.member else { continue };
                let form = Form::Field(format!("({base}).{name}"));
                self.found("StructField", field.span(), field.expr.span().byte_range(), &form);
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

/// The range of the text with the edits, which are those within it, the outer ones first.
fn render(source: &str, range: Range<usize>, edits: &[&Edit]) -> String {
    let mut text = String::new();
    let mut at = range.start;
    let mut rest = edits;
    while let [edit, others @ ..] = rest {
        let within = others.iter().take_while(|other| other.extent.end <= edit.extent.end).count();
        let (inner, after) = others.split_at(within);
        text += &source[at..edit.extent.start];
        text += &switched(source, edit, inner);
        at = edit.extent.end;
        rest = after;
    }
    text + &source[at..range.end]
}

/// The extent of an edit: its mutants behind their switches, then what it was.
fn switched(source: &str, edit: &Edit, inner: &[&Edit]) -> String {
    let Edit { extent, form, mutants } = edit;
    let part = |range: Range<usize>| {
        let within: Vec<&Edit> = inner
            .iter()
            .filter(|edit| range.start <= edit.extent.start && edit.extent.end <= range.end)
            .copied()
            .collect();
        render(source, range, &within)
    };
    let whole = part(extent.clone());
    let chain = |alternative: &dyn Fn(&str) -> String, otherwise: &str| {
        let arms =
            mutants.iter().map(|(number, new)| format!("if {} {{ {} }} else ", switch(*number), alternative(new)));
        format!("({}{{ {otherwise} }})", arms.collect::<String>())
    };
    match form {
        Form::Body => {
            let returns = mutants.iter().map(|(number, new)| format!("if {} {{ return {new}; }} ", switch(*number)));
            returns.collect::<String>() + &whole
        }
        Form::Guard => chain(&str::to_owned, &whole),
        Form::Pattern => mutants.iter().map(|(number, _)| format!(" if !{}", switch(*number))).collect(),
        Form::Field(base) => chain(&|_| base.clone(), &whole),
        Form::Unary(operand) => chain(&|_| part(*operand..extent.end), &whole),
        Form::Binary(start, end) => {
            chain(&|new| format!("{}{new}{}", part(extent.start..*start), part(*end..extent.end)), &whole)
        }
    }
}

fn switch(number: u32) -> String {
    format!("crate::mutant_switch::on({number})")
}

fn main() {
    let [_, root, list] = &*env::args().collect::<Vec<_>>() else { panic!("the root of a copy and a list") };
    let configuration: Vec<String> = env::var("FINALITE_CFG").unwrap().lines().map(str::to_owned).collect();
    let mut files: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for line in fs::read_to_string(list).unwrap().lines() {
        let [number, file, genre, line, column, replacement] = *line.split('\t').collect::<Vec<_>>() else {
            panic!("six fields: {line}");
        };
        let at = LineColumn { line: line.parse().unwrap(), column: column.parse::<usize>().unwrap() - 1 };
        let (genre, replacement) = (genre.to_owned(), replacement.to_owned());
        files.entry(file.to_owned()).or_default().push(Listed {
            number: number.parse().unwrap(),
            genre,
            at,
            replacement,
        });
    }
    for (file, mutants) in &files {
        let path = format!("{root}/{file}");
        let source = fs::read_to_string(&path).unwrap();
        let mut listed: HashMap<_, Vec<&Listed>> = HashMap::new();
        for mutant in mutants {
            listed.entry((mutant.at.line, mutant.at.column)).or_default().push(mutant);
        }
        let mut finder = Finder {
            source: &source,
            listed,
            edits: vec![],
            verdicts: BTreeMap::new(),
            configuration: configuration.clone(),
            constants: 0,
            absent: 0,
        };
        finder.visit_file(&syn::parse_file(&source).unwrap());
        for mutant in mutants {
            println!("{} {}", mutant.number, finder.verdicts.get(&mutant.number).unwrap_or(&"unknown"));
        }
        let mut edits: Vec<&Edit> = finder.edits.iter().collect();
        edits.sort_by(|a, b| (a.extent.start, b.extent.end, &a.form).cmp(&(b.extent.start, a.extent.end, &b.form)));
        fs::write(&path, render(&source, 0..source.len(), &edits)).unwrap();
    }
}
