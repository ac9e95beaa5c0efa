use super::*;

#[test]
fn blank_is_what_sqlite_skips() {
    for blank in
        ["", " ", "\u{feff}", ";;", "-- a", "-- a\n", "/* a */", "/* a", "\u{b}", " ; -- x\n/* y */\t\r\n\u{c};"]
    {
        assert_eq!(skip_blank(blank), "", "{blank:?}");
    }
    assert_eq!(skip_blank("-- a\nSELECT 1"), "SELECT 1");
    assert_eq!(skip_blank("/* a */ /**/ b"), "b");
    assert_eq!(skip_blank("- - a"), "- - a");
    assert_eq!(skip_blank("/*"), "/*", "SQLite reads a slash and a star");
    assert_eq!(skip_blank("\u{a0}x"), "\u{a0}x", "a no-break space is a token");
}

#[test]
fn keywords_end_where_words_end() {
    assert!(starts_with_keyword(" /* x */ pragma user_version", "PRAGMA"));
    assert!(starts_with_keyword("PRAGMA", "PRAGMA"));
    assert!(!starts_with_keyword("pragmatic", "PRAGMA"));
    assert!(!starts_with_keyword("prag", "PRAGMA"));
    assert!(!starts_with_keyword("pragmäb", "PRAGMA"));
}

#[test]
fn quoting_doubles_the_quote() {
    assert_eq!(quote_identifier(r#"a"b"#), r#""a""b""#);
    assert_eq!(quote_text("it's"), "'it''s'");
}

#[test]
fn positions_are_one_based_and_count_characters() {
    assert_eq!(line_and_column("SELECT", 0), (1, 1));
    assert_eq!(line_and_column("a\nbc", 3), (2, 2));
    assert_eq!(line_and_column("'ä' x", 5), (1, 5));
    assert_eq!(line_and_column("ab", 99), (1, 3));
}
