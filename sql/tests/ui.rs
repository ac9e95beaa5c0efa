//! Statements that `sql!` refuses, in `tests/ui`: run as the cases of the driver are.

#[path = "../../tests/ui.rs"]
mod runner;
