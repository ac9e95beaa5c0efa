//! The hand-over of a call in each order that its threads can run in: the task that awaits or drops it, the worker that
//! runs it, and the next call of the same worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::handover::{Call, Cancelled, Interrupt};
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize as LoomUsize;
use loom::thread;

/// A worker: which of its jobs it runs, and which of them was interrupted. 0 is none.
#[derive(Default)]
struct Worker {
    runs: LoomUsize,
    interrupted: LoomUsize,
}

#[derive(Clone)]
struct Handle(Arc<Worker>);

impl Interrupt for Handle {
    fn interrupt(&self) {
        self.0.interrupted.store(self.0.runs.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

type Job = Call<u32, Handle, u32>;

/// Counts how often the task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a job as a worker does. Returns whether it ran.
fn run(worker: &Arc<Worker>, number: usize, job: &Job) -> bool {
    worker.runs.store(number, Ordering::SeqCst);
    let Some(work) = job.begin(Handle(Arc::clone(worker))) else {
        worker.runs.store(0, Ordering::SeqCst);
        return false;
    };
    if let Ok(Some(waker)) = job.finish(work * 2) {
        waker.wake();
    }
    worker.runs.store(0, Ordering::SeqCst);
    true
}

/// Starts a thread that runs two calls on a worker, with the work 21 and 4.
fn two_calls<T: 'static>(
    run: impl FnOnce(&Arc<Worker>, &Arc<Job>, &Arc<Job>) -> T + 'static,
) -> (Arc<Worker>, [Arc<Job>; 2], thread::JoinHandle<T>) {
    let worker = Arc::new(Worker::default());
    let calls = [21, 4].map(|work| Arc::new(Job::new(work)));
    let running = {
        let (worker, [one, next]) = (Arc::clone(&worker), calls.clone());
        thread::spawn(move || run(&worker, &one, &next))
    };
    (worker, calls, running)
}

#[test]
fn an_awaited_call_is_woken_and_has_its_result() {
    loom::model(|| {
        let worker = Arc::new(Worker::default());
        let job = Arc::new(Job::new(21));
        let woken = std::sync::Arc::new(Woken::default());
        let running = {
            let (worker, job) = (Arc::clone(&worker), Arc::clone(&job));
            thread::spawn(move || assert!(run(&worker, 1, &job)))
        };
        let waker = Waker::from(std::sync::Arc::clone(&woken));
        let mut task = Context::from_waker(&waker);
        let first = job.poll(&mut task);
        running.join().unwrap();
        let result = match first {
            Poll::Pending => {
                assert_eq!(woken.0.load(Ordering::SeqCst), 1, "the task sleeps for ever");
                job.poll(&mut task)
            }
            ready => ready,
        };
        assert_eq!(result, Poll::Ready(Some(42)));
        assert_eq!(job.poll(&mut task), Poll::Ready(None));
    });
}

#[test]
fn a_dropped_call_interrupts_itself_alone() {
    loom::model(|| {
        let (worker, [one, next], running) = two_calls(|worker, one, next| {
            let ran = run(worker, 1, one);
            assert!(run(worker, 2, next), "nobody has cancelled it");
            ran
        });
        let was = one.cancel();
        let ran = running.join().unwrap();
        let interrupted = worker.interrupted.load(Ordering::SeqCst);
        assert_ne!(interrupted, 2, "a late interrupt has hit the next call");
        match was {
            Cancelled::BeforeItBegan(work) => assert_eq!((work, ran, interrupted), (21, false, 0)),
            Cancelled::WhileRunning => assert_eq!((ran, interrupted), (true, 1)),
            Cancelled::AfterItsEnd(result) => assert_eq!((result, ran, interrupted), (42, true, 0)),
            Cancelled::AfterAll => panic!("it was cancelled once"),
        }
        let mut task = Context::from_waker(Waker::noop());
        assert_eq!(next.poll(&mut task), Poll::Ready(Some(8)));
    });
}

/// The control: an interrupt that is not given under the lock reaches the next call in some order.
#[test]
#[should_panic(expected = "a late interrupt has hit the next call")]
fn an_interrupt_outside_of_the_lock_is_late() {
    loom::model(|| {
        let (worker, _, running) = two_calls(|worker, one, next| {
            run(worker, 1, one);
            run(worker, 2, next);
        });
        let is_running = worker.runs.load(Ordering::SeqCst) == 1;
        if is_running {
            Handle(Arc::clone(&worker)).interrupt();
        }
        running.join().unwrap();
        assert_ne!(worker.interrupted.load(Ordering::SeqCst), 2, "a late interrupt has hit the next call");
    });
}

/// Two calls that share a transaction: the first one is held while the second one runs, and both are put back.
#[test]
fn a_dropped_call_interrupts_no_other_one_of_its_transaction() {
    loom::model(|| {
        let (worker, [one, next], running) = two_calls(|worker, one, next| {
            worker.runs.store(1, Ordering::SeqCst);
            let first = one.begin(Handle(Arc::clone(worker)));
            let is_held = first.is_some() && one.hold();
            worker.runs.store(2, Ordering::SeqCst);
            let second = next.begin(Handle(Arc::clone(worker))).unwrap();
            // What fails has both run again, in their order.
            let is_back = first.is_some_and(|work| one.put_back(work).is_ok());
            assert!(!is_back || is_held, "a call that was cancelled waits again");
            assert!(next.hold() && next.put_back(second).is_ok(), "nobody has cancelled it");
            worker.runs.store(1, Ordering::SeqCst);
            run(worker, 1, one);
            assert!(run(worker, 2, next), "nobody has cancelled it");
        });
        let was = one.cancel();
        running.join().unwrap();
        let interrupted = worker.interrupted.load(Ordering::SeqCst);
        assert_ne!(interrupted, 2, "an interrupt has hit another call");
        match was {
            Cancelled::BeforeItBegan(work) => assert_eq!((work, interrupted), (21, 0)),
            // Not while it was held.
            Cancelled::WhileRunning => assert!(interrupted <= 1),
            Cancelled::AfterItsEnd(result) => assert_eq!((result, interrupted), (42, 0)),
            Cancelled::AfterAll => panic!("it was cancelled once"),
        }
        let mut task = Context::from_waker(Waker::noop());
        assert_eq!(next.poll(&mut task), Poll::Ready(Some(8)));
    });
}

/// The control: a call that keeps its interrupt while another one runs hits that in some order.
#[test]
#[should_panic(expected = "an interrupt has hit another call")]
fn a_call_that_is_not_held_interrupts_another_one() {
    loom::model(|| {
        let worker = Arc::new(Worker::default());
        let one = Arc::new(Job::new(21));
        let running = {
            let (worker, one) = (Arc::clone(&worker), Arc::clone(&one));
            thread::spawn(move || {
                worker.runs.store(1, Ordering::SeqCst);
                one.begin(Handle(Arc::clone(&worker)));
                worker.runs.store(2, Ordering::SeqCst);
            })
        };
        one.cancel();
        running.join().unwrap();
        assert_ne!(worker.interrupted.load(Ordering::SeqCst), 2, "an interrupt has hit another call");
    });
}

#[test]
fn a_call_is_refused_or_runs() {
    // A time-out refuses, too.
    loom::model(|| {
        let worker = Arc::new(Worker::default());
        let job = Arc::new(Job::new(21));
        let running = {
            let (worker, job) = (Arc::clone(&worker), Arc::clone(&job));
            thread::spawn(move || run(&worker, 1, &job))
        };
        let is_refused = job.refuse(7).is_ok();
        assert_ne!(running.join().unwrap(), is_refused);
        assert_eq!(worker.interrupted.load(Ordering::SeqCst), 0);
        assert!(!job.is_waiting());
        let mut task = Context::from_waker(Waker::noop());
        assert_eq!(job.poll(&mut task), Poll::Ready(Some(if is_refused { 7 } else { 42 })));
    });
}
