//! Loom model of the arming protocol: all interleavings of one message, and those of two messages with at most four
//! preemptions. A lost wake-up is an error: the receiver blocks although the sender has ended and will not ring again.

use std::convert::Infallible;
use std::io;

use doorbell::arming::AtomicWord;
use doorbell::notify::{Notifier, ring_if_armed};
use doorbell::wait::{EventSource, Irq, Waiter, Wakeup};
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// Loom's word. Without `FENCED` it omits the fences, to show that the model detects their absence.
struct ModelWord<const FENCED: bool>(AtomicU64);

impl<const FENCED: bool> AtomicWord for ModelWord<FENCED> {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    /// A swap, because loom 0.7 allows a plain store within another thread's swap. Processors do not.
    fn store(&self, value: u64, order: Ordering) {
        self.0.swap(value, order);
    }
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.0.swap(value, order)
    }
    fn fence(order: Ordering) {
        if FENCED {
            fence(order);
        }
    }
}

/// An eventfd: a counter, a wait until it is not zero, and the end of the sender.
struct Eventfd {
    state: Mutex<State>,
    risen: Condvar,
}

#[derive(Default)]
struct State {
    count: u64,
    hung_up: bool,
}

impl Eventfd {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.risen.notify_one();
    }
}

struct Source(Arc<Eventfd>);

impl EventSource for Source {
    fn wait_event(&mut self) -> io::Result<Wakeup> {
        let mut state = self.0.state.lock().unwrap();
        while state.count == 0 && !state.hung_up {
            state = self.0.risen.wait(state).unwrap();
        }
        match std::mem::take(&mut state.count) {
            0 => Err(io::Error::other("the sender has ended")),
            n => Ok(Wakeup::Events(n)),
        }
    }
}

/// The receiver's order of steps.
#[derive(Clone, Copy, PartialEq)]
enum Receiver {
    /// Arms when the wait begins.
    Arms,
    /// Arms before it acknowledges the previous message.
    ArmsEarly,
    /// Checks once before it arms, like the spin of a hybrid wait.
    ChecksFirst,
}

fn exchange<const FENCED: bool>(messages: u64, receiver: Receiver) {
    let mut model = loom::model::Builder::new();
    // Limits the run to seconds.
    model.preemption_bound = (messages > 1).then_some(4);
    model.check(move || {
        let message = Arc::new(AtomicU64::new(0));
        let answer = Arc::new(AtomicU64::new(0));
        let armed = Arc::new(ModelWord::<FENCED>(AtomicU64::new(0)));
        let event = Arc::new(Eventfd { state: Mutex::new(State::default()), risen: Condvar::new() });

        let sender = {
            let (message, answer, armed, event) = (message.clone(), answer.clone(), armed.clone(), event.clone());
            thread::spawn(move || {
                let mut doorbell = ring_if_armed(&*armed, || {
                    event.change(|state| state.count += 1);
                    Ok(())
                });
                for seq in 1..=messages {
                    message.store(seq, Ordering::Release);
                    doorbell.notify().unwrap();
                    // Closed loop: the next message waits for this acknowledgement.
                    while seq < messages && answer.load(Ordering::Acquire) < seq {
                        thread::yield_now();
                    }
                }
                event.change(|state| state.hung_up = true);
                doorbell.rings()
            })
        };

        let mut waiter = Irq::new(&*armed, Source(event.clone()));
        let mut found_first = 0;
        for seq in 1..=messages {
            let try_take = || (message.load(Ordering::Acquire) >= seq).then_some(());
            let on_idle = || Ok::<(), Infallible>(());
            if receiver == Receiver::ChecksFirst && try_take().is_some() {
                found_first += 1;
                answer.store(seq, Ordering::Release);
                continue;
            }
            waiter.wait(try_take, on_idle).expect("a doorbell for every message that is waited for");
            if receiver == Receiver::ArmsEarly && seq < messages {
                waiter.arm_early();
            }
            answer.store(seq, Ordering::Release);
        }
        let rings = sender.join().unwrap();
        let counts = waiter.counts();
        assert_eq!(counts.events, rings, "every doorbell is collected by the wait that it was rung for");
        assert_eq!(event.state.lock().unwrap().count, 0, "no event is left over");
        assert_eq!(counts.waits + counts.found_after_arm + found_first, messages);
    });
}

#[test]
fn one_message_never_loses_its_wakeup() {
    exchange::<true>(1, Receiver::Arms);
}

#[test]
fn two_messages_lose_and_leave_no_doorbell() {
    exchange::<true>(2, Receiver::Arms);
}

#[test]
fn receiver_that_checks_first_loses_no_doorbell() {
    exchange::<true>(2, Receiver::ChecksFirst);
}

#[test]
fn receiver_that_arms_early_loses_no_doorbell() {
    exchange::<true>(2, Receiver::ArmsEarly);
}

#[test]
#[should_panic(expected = "a doorbell for every message that is waited for")]
fn model_detects_missing_fences() {
    exchange::<false>(1, Receiver::Arms);
}
