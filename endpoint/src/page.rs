//! HTML page served at `/`.

/// The whole page. Its only requests are for `memory.json` and `history.json`.
pub(crate) const PAGE: &str = include_str!("page.html");

/// Content security policy of the page: it may run its own script and its own style, identified by their hashes, and
/// connect to this server.
pub(crate) const POLICY: &str = concat!(
    "default-src 'none'; ",
    "script-src 'sha256-OKCnYSQJq8DoOdC3+tojxpsGOEFXoZmRbaZX2wyLEHE='; ",
    "style-src 'sha256-jZmdjetIKyAarDAELhG/NhLcaxcVjK4tksNxq7Dw2jM='; ",
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_script_and_the_style_of_the_page() {
        for (tag, open, close) in [("script", "<script>", "</script>"), ("style", "<style>", "</style>")] {
            let parts: Vec<&str> = PAGE.split(open).collect();
            let [_, rest] = parts[..] else {
                panic!("there are {} of {open}", parts.len() - 1);
            };
            let (content, _) = rest.split_once(close).unwrap();
            let allowed = format!("{tag}-src 'sha256-{}'; ", BASE64_STANDARD.encode(Sha256::digest(content)));
            assert!(POLICY.contains(&allowed), "the policy is to say {allowed}");
        }
    }

    #[test]
    fn the_page_asks_nobody_else() {
        for word in ["http://", "https://", "src=", "@import", "url("] {
            let found = PAGE.match_indices(word).filter(|&(at, _)| !PAGE[at..].starts_with("http://www.w3.org/"));
            assert_eq!(found.count(), 0, "{word}");
        }
    }
}
