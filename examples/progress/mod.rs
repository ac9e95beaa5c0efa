//! A progress bar.

use std::io::{self, IsTerminal, Write};

/// Draws the bar anew; without a terminal, one line at the end.
pub fn show(name: &str, done: u64, total: u64, of: &str) {
    let percent = done * 100 / total.max(1);
    let bar: String = (0..25).map(|n| if n * 4 < percent { '#' } else { '.' }).collect();
    let line = format!("{name}  [{bar}] {percent:3} %  {done} of {total} {of}");
    if io::stdout().is_terminal() {
        print!("\r{line}");
        if done == total {
            println!();
        }
        let _ = io::stdout().flush();
    } else if done == total {
        println!("{line}");
    }
}
