//! Ownership of the threads that finalite starts.
//!
//! Dropping a [`Worker`] requests its thread to stop and joins it; a thread that panicked is joined as well. If a
//! `Worker` is dropped on the thread it owns, it cannot join itself: the request to stop is set, the thread stops when
//! it checks next, and no thread joins it. In a forked child process the thread does not exist, and dropping does
//! nothing.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, io, mem};

use crate::raw::os::threads;
use crate::track::registry::current_thread;
use crate::track::{PerProcess, Process, shielded};

/// Number of threads that are running.
static RUNNING: PerProcess<u64> = PerProcess::new(u64::default);

/// Returns the number of running threads that finalite started.
pub(crate) fn running() -> u64 {
    *RUNNING.lock()
}

/// Owner of a thread. Dropping it stops and joins the thread.
pub struct Worker {
    thread: Option<JoinHandle<()>>,
    stop: Arc<Stop>,
    process: Process,
}

impl Worker {
    /// Starts a thread. `work` must return soon after the stop is set.
    ///
    /// # Errors
    ///
    /// The operating system's error if it cannot create a thread.
    pub fn start(name: &str, work: impl FnOnce(&Stop) + Send + 'static) -> io::Result<Self> {
        let process = Process::this();
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        let running = Running::new();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let _running = running;
            work(&told);
        })?;
        Ok(Self { thread: Some(thread), stop, process })
    }
}

/// Runs a closure here, and the others on threads of their own, as [`threads::run_beside`] does, and counts the threads.
pub(crate) fn run_beside<T: Send, R>(
    name: &str,
    others: impl Iterator<Item = impl FnOnce() -> T + Send>,
    own: impl FnOnce() -> R,
) -> (R, Vec<thread::Result<T>>) {
    let counted = others.map(|other| {
        let running = Running::new();
        move || {
            let _running = running;
            other()
        }
    });
    threads::run_beside(name, counted, own)
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.process.is_this() {
            mem::forget(self.thread.take());
            return;
        }
        self.stop.set();
        // `current_thread` returns `None` while the thread's variables are destroyed; the worker's own thread has no
        // thread-local variable that could own this `Worker`.
        let this = current_thread().map(|thread| thread.id());
        let Some(thread) = self.thread.take().filter(|thread| Some(thread.thread().id()) != this) else {
            return;
        };
        let name = thread.thread().name().map(Box::<str>::from);
        if let Err(panic) = thread.join() {
            shielded(|| {
                tracing::error!(target: "finalite::worker", name, "a background thread panicked");
            });
            // The payload of a panic may panic in its own `Drop`.
            shielded(|| drop(panic));
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Counts a thread for as long as it runs.
struct Running(());

impl Running {
    fn new() -> Self {
        *RUNNING.lock() += 1;
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *RUNNING.lock() -= 1;
    }
}

/// Request to a thread to stop.
#[derive(Default)]
pub struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_set: bool,
    wake: Option<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}

impl Stop {
    /// Locks the state. No code that runs under the lock can panic, so a poisoned lock has valid contents.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self) {
        let wake = {
            let mut state = self.lock();
            state.is_set = true;
            state.wake.take()
        };
        self.changed.notify_all();
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Waits until the stop is set, at most for the given time. Returns whether it is set.
    pub fn wait(&self, longest: std::time::Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| !state.is_set);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_set
    }

    /// Calls `wake` when the stop is set, on the thread that sets it, or immediately if it is already set. For a thread
    /// that waits on something else.
    pub fn on_set(&self, wake: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.is_set {
            drop(state);
            wake();
        } else {
            state.wake = Some(Box::new(wake));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn dropping_joins() {
        let (report, ended) = mpsc::channel();
        let worker = Worker::start("dropping_joins", move |stop| {
            while !stop.wait(Duration::from_secs(3600)) {}
            report.send(()).unwrap();
        });
        drop(worker.unwrap());
        // The message was sent before the join, or not at all.
        assert!(ended.try_recv().is_ok());
    }

    /// Control test: a thread that is not joined still runs.
    #[test]
    fn a_thread_that_is_not_joined_still_runs() {
        let (report, ended) = mpsc::channel::<()>();
        let (go, wait) = mpsc::channel::<()>();
        drop(thread::spawn(move || {
            wait.recv().unwrap();
            report.send(()).unwrap();
        }));
        assert!(ended.try_recv().is_err());
        go.send(()).unwrap();
        ended.recv().unwrap();
    }

    #[test]
    fn a_thread_that_panicked_is_joined() {
        let worker = Worker::start("panics", |_| panic!("on purpose")).unwrap();
        let stop = Arc::downgrade(&worker.stop);
        drop(worker);
        // The thread's clone of the `Arc` was dropped with the thread.
        assert_eq!(stop.strong_count(), 0);
    }

    #[test]
    fn it_may_be_dropped_by_its_own_thread() {
        let (send, receive) = mpsc::channel::<Worker>();
        let (report, ended) = mpsc::channel();
        let worker = Worker::start("drops itself", move |stop| {
            drop(receive.recv().unwrap());
            report.send(stop.wait(Duration::ZERO)).unwrap();
        });
        send.send(worker.unwrap()).unwrap();
        assert_eq!(ended.recv(), Ok(true));
    }
}
