//! URLs as text.

use ::url::Url;

use super::{passes_through_a_function, read, text, unread};

#[test]
fn a_url_is_its_text() {
    let url = Url::parse("https://example.org:8080/päth?q=1#top").unwrap();
    assert_eq!(text(&url), "https://example.org:8080/p%C3%A4th?q=1#top");
    assert_eq!(text(url.clone()), url.as_str());
    assert_eq!(read::<Url>(&url), url);
    assert_eq!(read::<Url>("HTTPS://example.org"), Url::parse("https://example.org/").unwrap());
}

#[test]
fn the_error_is_that_of_the_crate_without_the_text() {
    assert_eq!(unread::<Url>("hunter2"), "relative URL without a base (url::Url)");
    assert_eq!(unread::<Url>("https://[::1"), "invalid IPv6 address (url::Url)");
    assert_eq!(unread::<Url>(*b"https://example.org/"), "not readable as url::Url");
}

#[test]
fn functions_take_and_return_them() {
    passes_through_a_function(Url::parse("https://example.org/").unwrap());
}
