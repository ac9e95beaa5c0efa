//! SQL functions for texts, as an extension that any program can load into its SQLite.
#![forbid(unsafe_code)]

use finalite::extend::{Extension, aggregate, deterministic};

fn register(extension: &Extension<'_>) -> finalite::Result<()> {
    extension.create_scalar_function("reverse", deterministic(|text: &str| text.chars().rev().collect::<String>()))?;
    extension.create_table_function("split", ["part"], |text: &str, separator: &str| {
        text.split(separator).map(|part| (part.to_owned(),)).collect::<Vec<_>>()
    })?;
    let longest = aggregate(
        String::new,
        |longest: &mut String, text: &str| {
            if text.chars().count() > longest.chars().count() {
                text.clone_into(longest);
            }
        },
        |longest: String| longest,
    );
    extension.create_aggregate_function("longest", longest)?;
    extension.create_collation("by_length", |a: &str, b: &str| {
        a.chars().count().cmp(&b.chars().count()).then_with(|| a.cmp(b))
    })?;
    Ok(())
}

finalite::loadable_extension!(register);
