//! [`Problem`]: what is wrong with the SQL or the schema, and where.

use std::fmt::Write as _;

/// Something that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    message: String,
    /// Lines that say what to do.
    help: Vec<String>,
    at: Option<usize>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: Vec::new(), at: None }
    }

    /// Sets the byte of the SQL at which it is.
    pub(crate) fn at(mut self, offset: Option<usize>) -> Self {
        self.at = offset;
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Returns the text of the error, with the line of the SQL that it is in.
    pub(crate) fn render(&self, sql: &str) -> String {
        let mut text = self.message.clone();
        if let Some(at) = self.at {
            let before = &sql[..at];
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let line = sql[start..].lines().next().unwrap_or_default();
            let number = 1 + before.matches('\n').count();
            let column = before[start..].chars().count();
            let _ = write!(text, ", at line {number}, column {} of the SQL", column + 1);
            // A mark below the place, behind the same blanks and tabs.
            let blank: String = before[start..].chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = write!(text, "\n\n    {}\n    {blank}^", line.trim_end());
        }
        for (index, help) in self.help.iter().enumerate() {
            let _ = write!(text, "{}help: {help}", if index == 0 { "\n\n" } else { "\n" });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn the_place_is_marked_in_its_line() {
        let sql = "SELECT id,\n\t größe, nmae\nFROM t";
        let text = Problem::new("no such column").at(sql.find("nmae")).help("one").help("two").render(sql);
        let expected = "no such column, at line 2, column 10 of the SQL\n\n    \t größe, nmae\n    \t        ^\n\nhelp: one\nhelp: two";
        assert_eq!(text, expected);
        assert_eq!(Problem::new("empty").render(""), "empty");
        assert!(Problem::new("end").at(Some(6)).render("SELECT").ends_with("\n    SELECT\n          ^"));
    }
}
