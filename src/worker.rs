//! The one owner of every thread that finalite starts.
//!
//! A [`Worker`] that is dropped tells its thread to stop, and waits until it has; a thread that panicked has stopped,
//! and is joined all the same. Dropped on the thread it owns (by what that thread runs), it cannot wait for itself: the
//! thread stops when it looks next, and nobody is left who could wait. In a child process there is no such thread, and
//! nothing to do.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, io, mem};

use crate::raw::registry::current_thread;
use crate::raw::{PerProcess, Process, shielded};

/// Threads that run now.
static RUNNING: PerProcess<u64> = PerProcess::new(u64::default);

/// How many threads of finalite's run now.
pub(crate) fn running() -> u64 {
    *RUNNING.lock()
}

/// Owns a thread.
pub(crate) struct Worker {
    thread: Option<JoinHandle<()>>,
    stop: Arc<Stop>,
    process: Process,
}

impl Worker {
    /// Starts a thread. `work` is to return soon after the stop is set.
    ///
    /// # Errors
    ///
    /// The system's, where it gives no thread.
    pub(crate) fn start(name: &str, work: impl FnOnce(&Stop) + Send + 'static) -> io::Result<Self> {
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

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.process.is_this() {
            mem::forget(self.thread.take());
            return;
        }
        self.stop.set();
        // A thread that is ending does not say who it is; the worker's has no variables that could hold this.
        let this = current_thread().map(|thread| thread.id());
        let Some(thread) = self.thread.take().filter(|thread| Some(thread.thread().id()) != this) else {
            return;
        };
        let name = thread.thread().name().map(Box::<str>::from);
        if let Err(panic) = thread.join() {
            shielded(|| {
                tracing::error!(target: "finalite::worker", name, "a thread of finalite's has panicked");
            });
            // What a panic carries may panic when it is dropped.
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

/// Tells a thread to stop.
#[derive(Default)]
pub(crate) struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_set: bool,
    wake: Option<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Nothing that runs under the lock can panic, so a poisoned one is as good.
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

    /// Waits for this long, or until the stop is set. Returns whether it is.
    pub(crate) fn wait(&self, longest: std::time::Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| !state.is_set);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_set
    }

    /// Calls this when the stop is set, on the thread that sets it; at once if it is set already. For a thread that
    /// waits for something else.
    #[cfg(feature = "endpoint")]
    pub(crate) fn on_set(&self, wake: impl FnOnce() + Send + 'static) {
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
        // It was sent before the join, or never.
        assert!(ended.try_recv().is_ok());
    }

    /// The control: without the join the thread still runs.
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
        // The thread's share is gone with the thread.
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
