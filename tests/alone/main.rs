//! What compares figures of the whole process (memory, handles, descriptors, threads, events, forks) or changes its
//! settings. Each case runs in a process of its own: see [`runner`].
//!
//! A case is a function that is listed in the `cases!` of its file, and each file's list in [`ALL`]. One that is missing
//! from either does not compile.
#![deny(dead_code)]

mod allocator;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod forget;
#[cfg(unix)]
mod fork;
#[cfg(unix)]
mod fork_callbacks;
#[cfg(unix)]
mod fork_handlers;
mod handles;
mod hooks;
mod incidents;
#[cfg(all(unix, feature = "sqlcipher"))]
mod initialize;
#[cfg(unix)]
mod killed;
mod leak_check;
mod lifecycle;
mod memory;
mod memory_modes;
mod out_of_memory;
#[cfg(target_os = "linux")]
mod pages;
#[cfg(target_os = "linux")]
mod partitions;
mod quiet;
mod runner;
mod secrets;
mod stats;
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(unix)]
mod system_errors;
#[cfg(target_os = "linux")]
mod system_faults;
mod thread_end;
#[cfg(unix)]
mod transactions;
mod untrusted;
#[cfg(unix)]
mod vfs;
mod virtual_tables;

use std::process::ExitCode;

use runner::Case;

/// All cases.
const ALL: &[&[Case]] = &[
    events::CASES,
    forget::CASES,
    #[cfg(unix)]
    fork::CASES,
    #[cfg(unix)]
    fork_callbacks::CASES,
    #[cfg(unix)]
    fork_handlers::CASES,
    handles::forgotten::CASES,
    #[cfg(unix)]
    handles::forked::CASES,
    handles::held::CASES,
    handles::records::CASES,
    handles::sites::CASES,
    hooks::CASES,
    incidents::canal::CASES,
    incidents::everything::CASES,
    incidents::gosqlite::CASES,
    incidents::patroni::CASES,
    incidents::tidb::CASES,
    incidents::vitess::CASES,
    #[cfg(all(unix, feature = "sqlcipher"))]
    initialize::CASES,
    #[cfg(unix)]
    killed::CASES,
    leak_check::CASES,
    lifecycle::CASES,
    memory::accounts::CASES,
    memory::backend::CASES,
    memory::blocks::CASES,
    memory::leaks::CASES,
    memory::limit::CASES,
    memory::long::CASES,
    memory::peak::CASES,
    memory::threads::CASES,
    memory_modes::CASES,
    out_of_memory::CASES,
    #[cfg(c_calls_wrapped)]
    out_of_memory::calls::CASES,
    out_of_memory::controls::CASES,
    #[cfg(target_os = "linux")]
    pages::CASES,
    #[cfg(target_os = "linux")]
    partitions::CASES,
    quiet::CASES,
    runner::CASES,
    secrets::CASES,
    stats::activity::CASES,
    stats::counters::CASES,
    stats::failures::CASES,
    stats::figures::CASES,
    #[cfg(unix)]
    stats::forked::CASES,
    stats::json::CASES,
    #[cfg(target_os = "linux")]
    system_calls::CASES,
    #[cfg(unix)]
    system_errors::CASES,
    #[cfg(target_os = "linux")]
    system_faults::CASES,
    thread_end::CASES,
    untrusted::CASES,
    virtual_tables::CASES,
    #[cfg(unix)]
    vfs::CASES,
];

fn main() -> ExitCode {
    runner::main(ALL)
}
