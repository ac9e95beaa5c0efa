//! [`Excerpt`]: text in an error message.

use std::fmt;

/// Displays text on one line, truncated to a maximum length. White space becomes one space, and control characters are
/// escaped.
pub(super) struct Excerpt<'a> {
    pub(super) text: &'a str,
    /// Byte offset that must be in the displayed part.
    pub(super) at: usize,
    /// Maximum length in characters.
    pub(super) longest: usize,
}

impl<'a> Excerpt<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0, longest: 200 }
    }

    fn start(&self) -> usize {
        const BEFORE: usize = 60;
        if self.at < self.longest.saturating_sub(BEFORE) {
            return 0;
        }
        let start = (self.at - BEFORE).min(self.text.len());
        (0..=start).rev().find(|&byte| self.text.is_char_boundary(byte)).unwrap_or(0)
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let start = self.start();
        if start > 0 {
            f.write_char('…')?;
        }
        let mut written = 0;
        for (n, word) in self.text[start..].split_whitespace().enumerate() {
            let space = (n > 0).then_some(' ');
            for letter in space.into_iter().chain(word.chars()) {
                if written == self.longest {
                    return f.write_char('…');
                }
                if letter.is_control() {
                    write!(f, "{}", letter.escape_default())?;
                } else {
                    f.write_char(letter)?;
                }
                written += 1;
            }
        }
        Ok(())
    }
}
