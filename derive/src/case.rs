//! [`Case`]: the values of `rename_all`.

/// A way of writing a name of several words.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
}

const CASES: [(&str, Case); 7] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
];

impl Case {
    /// Returns the case of this name. Each name is written in its own case.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let known = CASES.iter().find(|(known, _)| *known == name);
        known.map(|&(_, case)| case).ok_or_else(|| {
            let names: Vec<String> = CASES.iter().map(|(known, _)| format!("\"{known}\"")).collect();
            format!("no such case: one of {}", names.join(", "))
        })
    }

    /// Writes the name of a field (`snake_case`) or a variant (`PascalCase`) in this case.
    pub(crate) fn apply(self, name: &str) -> String {
        let words = words(name);
        let lower = || words.iter().map(|word| word.to_lowercase());
        let upper = || words.iter().map(|word| word.to_uppercase());
        let capital = || words.iter().map(|word| capitalized(word));
        match self {
            Self::Lower => lower().collect(),
            Self::Upper => upper().collect(),
            Self::Pascal => capital().collect(),
            Self::Camel => lower().take(1).chain(capital().skip(1)).collect(),
            Self::Snake => lower().collect::<Vec<_>>().join("_"),
            Self::ScreamingSnake => upper().collect::<Vec<_>>().join("_"),
            Self::Kebab => lower().collect::<Vec<_>>().join("-"),
        }
    }
}

/// Splits a name at underscores, and before each capital letter that follows another kind of character or begins a word
/// after an abbreviation: `HTTPServer` is `HTTP`, `Server`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let after = at.checked_sub(1).map(|before| chars[before]);
        let begins = c.is_uppercase()
            && (after.is_some_and(|before| !before.is_uppercase())
                || chars.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if c == '_' || begins {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("it begins with one").push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect())
}

#[cfg(test)]
mod tests {
    use super::{CASES, words};

    #[test]
    fn each_case_writes_fields_and_variants() {
        let all = |name: &str| CASES.map(|(_, case)| case.apply(name)).join(" ");
        let expected = "createdat CREATEDAT CreatedAt createdAt created_at CREATED_AT created-at";
        assert_eq!(all("created_at"), expected);
        assert_eq!(all("CreatedAt"), expected);
        assert_eq!(all("id"), "id ID Id id id ID id");
    }

    #[test]
    fn a_word_begins_where_a_reader_sees_one() {
        assert_eq!(words("HTTPServer2Go_x"), ["HTTP", "Server2", "Go", "x"]);
        assert_eq!(words("A"), ["A"]);
        assert_eq!(words("_private__name"), ["private", "name"]);
    }
}
