//! Implementations that are wrong on purpose: each method fails, panics, lies, or uses SQLite. SQLite's answer is an error,
//! and nothing is left behind.
