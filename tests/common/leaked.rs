//! Memory that tests leak on purpose. Its addresses are kept, so that LeakSanitizer reports all other memory alone.

use std::sync::Mutex;

/// Keeps the address of memory that is about to be leaked.
pub fn note(start: *const u8) {
    static ALL: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    ALL.lock().unwrap().push(start.expose_provenance());
}

/// Returns bytes that live as long as the process.
pub fn bytes(bytes: &[u8]) -> &'static [u8] {
    let bytes: &'static [u8] = bytes.to_vec().leak();
    note(bytes.as_ptr());
    bytes
}

/// Returns a text that lives as long as the process.
pub fn text(text: String) -> &'static str {
    let text: &'static str = text.leak();
    note(text.as_ptr());
    text
}
