//! The queue of calls, its workers, and tasks that wait for their end.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use finalite::Error;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use crate::control::Control;
use crate::queue::{Job, Next, Pushed, Queue};
use crate::timekeeper::Limit;
use crate::worker;

/// Something that happens, and whoever waits for it. If it never does, loom reports a deadlock.
struct Event {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Event {
    fn new() -> Arc<Self> {
        Arc::new(Self { count: Mutex::new(0), changed: Condvar::new() })
    }

    fn set(&self) {
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    /// Waits for one.
    fn wait(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.changed.wait(count).unwrap();
        }
        *count -= 1;
    }
}

impl Wake for Event {
    fn wake(self: Arc<Self>) {
        self.set();
    }
}

/// A call that tells its end by waking a task: at once, or with others if so many calls wait.
struct Call {
    waiting: usize,
    ended: Arc<Event>,
    refused: AtomicUsize,
}

impl Call {
    fn new(waiting: usize, ended: &Arc<Event>) -> Arc<Self> {
        Arc::new(Self { waiting, ended: Arc::clone(ended), refused: AtomicUsize::new(0) })
    }
}

impl Job for Call {
    fn run(&self, context: &worker::Context<'_>) {
        context.wakes.wake(Waker::from(Arc::clone(&self.ended)), self.waiting, Instant::now());
    }

    fn refuse(&self, _: &dyn Fn() -> Error) {
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.ended.set();
    }

    fn is_waiting(&self) -> bool {
        true
    }
}

/// Pushes a call, and starts a worker if one is needed.
fn push(queue: &Arc<Queue>, call: Arc<Call>, workers: &mut Vec<JoinHandle<()>>) -> Pushed {
    let pushed = queue.push(call, Limit::never());
    if pushed == Pushed::NeedsWorker {
        let queue = Arc::clone(queue);
        workers.push(thread::spawn(move || {
            let control = Arc::new(Control::new());
            queue.add(&control);
            let mut has_run = false;
            while let Some(Next { job: (job, _), .. }) = queue.next(&control, has_run) {
                has_run = true;
                job.run(&worker::Context { wakes: &queue.wakes });
            }
            queue.remove(&control);
        }));
    }
    pushed
}

fn end(queue: &Queue, cancels: bool, workers: Vec<JoinHandle<()>>) {
    queue.stop(cancels);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

/// Runs a model with few preemptions: each bug of the queue that was found so far needs one.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(test);
}

#[test]
fn a_worker_runs_each_call_that_comes_before_or_while_it_sleeps() {
    model(|| {
        let (queue, ended, mut workers) = (Arc::new(Queue::new(1)), Event::new(), Vec::new());
        assert_eq!(push(&queue, Call::new(0, &ended), &mut workers), Pushed::NeedsWorker);
        push(&queue, Call::new(0, &ended), &mut workers);
        ended.wait();
        ended.wait();
        push(&queue, Call::new(0, &ended), &mut workers);
        ended.wait();
        assert_eq!(workers.len(), 1);
        end(&queue, false, workers);
    });
}

#[test]
fn two_workers_run_each_call_of_two_tasks() {
    model(|| {
        let (queue, ended, mut workers) = (Arc::new(Queue::new(2)), Event::new(), Vec::new());
        push(&queue, Call::new(0, &ended), &mut workers);
        push(&queue, Call::new(0, &ended), &mut workers);
        ended.wait();
        ended.wait();
        end(&queue, false, workers);
    });
}

#[test]
fn a_wake_up_that_is_kept_is_made_before_the_worker_sleeps() {
    model(|| {
        let (queue, ended, mut workers) = (Arc::new(Queue::new(1)), Event::new(), Vec::new());
        push(&queue, Call::new(8, &ended), &mut workers);
        ended.wait();
        push(&queue, Call::new(8, &ended), &mut workers);
        ended.wait();
        end(&queue, false, workers);
    });
}

#[test]
fn whoever_waits_until_nothing_runs_is_woken() {
    model(|| {
        let (queue, ended, mut workers) = (Arc::new(Queue::new(1)), Event::new(), Vec::new());
        push(&queue, Call::new(0, &ended), &mut workers);
        let idle = Event::new();
        let waker = Waker::from(Arc::clone(&idle));
        while queue.poll_idle(1, &mut Context::from_waker(&waker)).is_pending() {
            idle.wait();
        }
        ended.wait();
        end(&queue, false, workers);
    });
}

#[test]
fn a_call_runs_or_is_refused_when_the_queue_ends() {
    model(|| {
        let (queue, ended, mut workers) = (Arc::new(Queue::new(1)), Event::new(), Vec::new());
        let call = Call::new(0, &ended);
        push(&queue, Arc::clone(&call), &mut workers);
        end(&queue, true, workers);
        // One of both, once.
        ended.wait();
        assert_eq!(*ended.count.lock().unwrap(), 0);
        assert_eq!(queue.push(call, Limit::never()), Pushed::Refused);
    });
}

#[test]
fn a_worker_that_cannot_be_started_refuses_its_call_and_ends_the_wait() {
    loom::model(|| {
        let (queue, ended, idle) = (Queue::new(1), Event::new(), Event::new());
        let call = Call::new(0, &ended);
        let pushed = queue.push(Arc::<Call>::clone(&call), Limit::never());
        assert_eq!(pushed, Pushed::NeedsWorker);
        let waker = Waker::from(Arc::clone(&idle));
        let mut task = Context::from_waker(&waker);
        assert_eq!(queue.poll_idle(1, &mut task), Poll::Pending);
        assert!(!queue.has_no_worker(&|| unreachable!("the call of this test makes no error")));
        assert_eq!(call.refused.load(Ordering::SeqCst), 1);
        // Without it, whoever closes the pool sleeps for ever.
        idle.wait();
        assert_eq!(queue.poll_idle(1, &mut task), Poll::Ready(()));
    });
}

#[test]
fn a_worker_that_cannot_be_started_beside_another_leaves_its_call_to_that() {
    loom::model(|| {
        let (queue, ended) = (Queue::new(2), Event::new());
        let calls = [Call::new(0, &ended), Call::new(0, &ended)];
        for call in &calls {
            assert_eq!(queue.push(Arc::<Call>::clone(call), Limit::never()), Pushed::NeedsWorker);
        }
        assert!(queue.has_no_worker(&|| unreachable!("the call of this test makes no error")));
        assert_eq!(queue.waits().waiting, 2);
        // The next call has another try.
        assert_eq!(queue.push(Call::new(0, &ended), Limit::never()), Pushed::NeedsWorker);
    });
}

/// Calls that a worker puts back run before those that came meanwhile, or are refused at the end of the pool.
#[test]
fn calls_that_are_put_back_are_not_forgotten() {
    model(|| {
        let (queue, ended) = (Arc::new(Queue::new(1)), Event::new());
        let calls = [(); 2].map(|()| Call::new(0, &ended));
        let control = Arc::new(Control::new());
        for call in &calls {
            queue.push(Arc::<Call>::clone(call), Limit::never());
        }
        let first = queue.next(&control, false).unwrap().job;
        let closing = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.cancel_all())
        };
        queue.put_back([first].into());
        closing.join().unwrap();
        for call in &calls {
            assert_eq!(call.refused.load(Ordering::SeqCst), 1);
        }
        assert_eq!(queue.waits().waiting, 0);
    });
}

/// A query that ends when another call has.
struct Waiter {
    awaited: Arc<Event>,
    ended: Arc<Event>,
}

impl Job for Waiter {
    fn run(&self, _: &worker::Context<'_>) {
        self.awaited.wait();
        self.ended.set();
    }

    fn refuse(&self, _: &dyn Fn() -> Error) {}

    fn is_waiting(&self) -> bool {
        true
    }
}

fn start_quick(queue: &Arc<Queue>, looks: bool) -> JoinHandle<()> {
    let (queue, control) = (Arc::clone(queue), Arc::new(Control::quick()));
    thread::spawn(move || {
        queue.add(&control);
        let mut has_run = false;
        while let Some(Next { job: (job, _), leaves, .. }) = queue.next(&control, has_run) {
            has_run = true;
            if leaves && looks {
                queue.call_next();
            }
            job.run(&worker::Context { wakes: &queue.wakes });
        }
        queue.remove(&control);
    })
}

/// Two quick workers, and a query that the first to come takes, for as long as the call behind it has not ended.
fn leave_behind_a_long_query(looks: bool) {
    let (queue, first, second) = (Arc::new(Queue::new(2)), Event::new(), Event::new());
    let (query, mut workers) = (Limit { shares: true, ..Limit::never() }, Vec::new());
    let long = Arc::new(Waiter { awaited: Arc::clone(&second), ended: Arc::clone(&first) });
    let mut push = |call: Arc<dyn Job>| {
        let pushed = queue.push(call, query);
        if pushed == Pushed::NeedsWorker {
            workers.push(start_quick(&queue, looks));
        }
        if looks && matches!(pushed, Pushed::Follows { .. }) {
            queue.call_next();
        }
    };
    // Both workers are started in some orders.
    push(Call::new(0, &first));
    push(Call::new(0, &first));
    first.wait();
    first.wait();
    push(long);
    push(Call::new(0, &second));
    first.wait();
    end(&queue, false, workers);
}

/// The timekeeper's look is in place of its thread: it comes at any time after a call was left.
#[test]
fn a_call_that_is_left_to_a_quick_worker_is_run_after_a_look() {
    model(|| leave_behind_a_long_query(true));
}

/// The control: without the look, the call waits in some order for a query that waits for it.
#[test]
#[should_panic(expected = "deadlock")]
fn a_call_that_is_left_to_a_quick_worker_waits_without_a_look() {
    model(|| leave_behind_a_long_query(false));
}

/// A quick worker that sleeps has nothing left to it, whatever another one runs: this has no look.
#[test]
fn nothing_is_left_to_a_quick_worker_that_sleeps() {
    model(|| {
        let (queue, first, second) = (Arc::new(Queue::new(2)), Event::new(), Event::new());
        let (query, mut workers) = (Limit { shares: true, ..Limit::never() }, Vec::new());
        let mut push = |call: Arc<dyn Job>, limit| {
            if queue.push(call, limit) == Pushed::NeedsWorker {
                workers.push(start_quick(&queue, false));
            }
        };
        push(Arc::new(Waiter { awaited: Arc::clone(&second), ended: Arc::clone(&first) }), Limit::never());
        push(Call::new(0, &first), query);
        first.wait();
        push(Call::new(0, &second), query);
        first.wait();
        end(&queue, false, workers);
    });
}

#[test]
fn a_wait_for_the_end_that_is_given_up_leaves_nothing() {
    loom::model(|| {
        let (queue, ended, idle) = (Queue::new(1), Event::new(), Event::new());
        queue.push(Call::new(0, &ended), Limit::never());
        let waker = Waker::from(Arc::clone(&idle));
        let alone = Arc::strong_count(&idle);
        for wait in 0..3 {
            assert_eq!(queue.poll_idle(wait, &mut Context::from_waker(&waker)), Poll::Pending);
            assert_eq!(queue.poll_idle(wait, &mut Context::from_waker(&waker)), Poll::Pending);
        }
        // The control: each is kept once, until it is given up.
        assert_eq!(Arc::strong_count(&idle), alone + 3);
        (0..3).for_each(|wait| queue.leave_idle(wait));
        assert_eq!(Arc::strong_count(&idle), alone);
    });
}

/// The control: a worker that looks at the queue, and says that it sleeps under another lock, sleeps for ever in some order.
#[test]
#[should_panic(expected = "deadlock")]
fn a_worker_that_lies_down_outside_of_the_lock_is_not_called() {
    model(|| {
        let (jobs, asleep) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(None::<Arc<Control>>)));
        let worker = {
            let (jobs, asleep) = (Arc::clone(&jobs), Arc::clone(&asleep));
            thread::spawn(move || {
                let control = Arc::new(Control::new());
                while *jobs.lock().unwrap() == 0 {
                    *asleep.lock().unwrap() = Some(Arc::clone(&control));
                    control.sleep();
                }
            })
        };
        *jobs.lock().unwrap() += 1;
        if let Some(control) = asleep.lock().unwrap().take() {
            control.call();
        }
        worker.join().unwrap();
    });
}
