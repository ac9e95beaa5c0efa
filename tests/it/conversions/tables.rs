//! The documentation and the tests above have the same rows.

use super::{CLASSES, binding, reading};

struct TableRow {
    /// The types in the first column.
    types: Vec<String>,
    cells: Vec<String>,
}

/// The rows of the table under this heading.
fn table(heading: &str) -> Vec<TableRow> {
    let rows: Vec<_> = include_str!("../../../src/convert.rs")
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .skip_while(|line| !line.starts_with(heading))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
            TableRow { types: types(&cells.next().unwrap()), cells: cells.collect() }
        })
        .collect();
    assert!(rows.len() >= 10, "{heading}: {} rows found", rows.len());
    rows
}

/// What stands between backticks, and what an ellipsis between two of them leaves out.
fn types(cell: &str) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    let mut pieces = cell.split('`');
    while let (Some(between), Some(name)) = (pieces.next(), pieces.next()) {
        if between.contains('…') {
            let (letter, first) = types.last().unwrap().split_at(1);
            let (letter, widths) = (letter.to_owned(), width(first) + 1..width(&name[1..]));
            types.extend([16, 32].iter().filter(|it| widths.contains(it)).map(|it| format!("{letter}{it}")));
        }
        types.push(name.to_owned());
    }
    types
}

fn width(digits: &str) -> u32 {
    digits.parse().unwrap()
}

#[test]
fn ranges_of_types_are_filled() {
    assert_eq!(types("`i8` … `i64`, `isize`, `u8` … `u32`"), ["i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32"]);
    assert_eq!(types("`&str`, [`Value`](crate::Value), a reference"), ["&str", "Value"]);
}

#[test]
fn reading_is_tested_for_every_type() {
    let table = table("# Reading");
    for TableRow { types, cells } in &table {
        for name in types.iter().filter(|name| *name != "Option<T>") {
            let Some((_, samples)) = reading::ROWS.iter().find(|(tested, _)| tested == name) else {
                panic!("`{name}` is in the documentation, and has no tests");
            };
            for ((cell, samples), class) in cells.iter().zip(samples).zip(CLASSES) {
                let (read, refused) = samples().into_iter().partition::<Vec<_>, _>(|&is_read| is_read);
                // The only conditional cells without an exception: these hold every INTEGER.
                let is_total = matches!(&**name, "i64" | "i128") || name == "isize" && isize::BITS == 64;
                let as_said = match &**cell {
                    "error" => read.is_empty() && !refused.is_empty(),
                    "yes" | "its bytes" => !read.is_empty() && refused.is_empty(),
                    _ => !read.is_empty() && (!refused.is_empty() || is_total),
                };
                assert!(as_said, "`{name}` from {class}: the documentation says \"{cell}\", the samples do not");
            }
        }
    }
    for (tested, _) in reading::ROWS {
        let is_documented = table.iter().any(|row| row.types.iter().any(|name| name == tested));
        assert!(is_documented, "`{tested}` has tests, and is not in the documentation");
    }
    assert!(table.iter().any(|row| row.types == ["Option<T>"]), "tested in each of the modules");
}

#[test]
fn binding_is_tested_for_every_type() {
    let table = table("# Binding");
    for TableRow { types, cells } in &table {
        let [becomes] = cells.as_slice() else {
            panic!("{cells:?}");
        };
        for name in types.iter().filter(|name| !matches!(&***name, "None" | "Some(T)")) {
            // A reference to an owned type is bound in the module of the type.
            let find = |name: &str| binding::ROWS.iter().find(|(tested, _)| *tested == name);
            let Some((_, class)) = find(name).or_else(|| find(name.strip_prefix('&')?)) else {
                panic!("`{name}` is in the documentation, and has no tests");
            };
            assert!(becomes.starts_with(class), "`{name}` becomes {class}, the documentation says \"{becomes}\"");
        }
    }
    for (tested, _) in binding::ROWS {
        let is_documented = table.iter().any(|row| row.types.iter().any(|name| name == tested));
        assert!(is_documented, "`{tested}` has tests, and is not in the documentation");
    }
    for option in ["None", "Some(T)"] {
        assert!(table.iter().any(|row| row.types == [option]), "tested in each of the modules");
    }
}
