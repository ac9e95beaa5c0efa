//! Which process a connection belongs to.
//!
//! A SQLite connection must not be used, nor even closed, by a child that inherited it through `fork`
//! (sqlite.org/howtocorrupt.html, 2.6): it believes in locks that only the parent holds, and closing rolls back the
//! parent's transaction in the file. The count kept here moves in every forked child, so one relaxed load tells a
//! stranger's connection from our own.

use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of forks between this process and the one that loaded the library.
#[inline(always)]
pub(super) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts counting forks, once per process. Called before the first open.
#[cfg(unix)]
pub(super) fn watch() {
    use std::ffi::c_int;
    use std::sync::Once;

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
    }

    unsafe extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is async-signal-safe, so it may run in the child of a
        // multi-threaded process. It is a function of this library, which must not be unloaded (README, effects).
        // A failure (ENOMEM) leaves forks undetected; there is nothing to undo.
        let _ = unsafe { pthread_atfork(None, None, Some(in_child)) };
    });
}

/// No `fork` here.
#[cfg(not(unix))]
pub(super) fn watch() {}
