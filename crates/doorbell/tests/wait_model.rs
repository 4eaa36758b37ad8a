//! The interleavings of a receiver that arms and blocks with a sender that publishes and rings, tried by loom: all of one
//! message, and of two messages those with at most four preemptions.
//! A lost wake-up shows as an error: the receiver blocks although the sender is done and will never ring again.

use std::convert::Infallible;
use std::io;

use doorbell::arming::AtomicWord;
use doorbell::notify::{Notifier, RingIfArmed};
use doorbell::wait::{EventSource, Irq, Waiter, Wakeup};
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// Loom's word; with `FENCED` false it leaves out the fences, to show that the model finds what they are for.
struct ModelWord<const FENCED: bool>(AtomicU64);

impl<const FENCED: bool> AtomicWord for ModelWord<FENCED> {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    /// As a swap: loom 0.7 lets a plain store slip between the two halves of another thread's swap, which no
    /// processor does.
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

/// An eventfd: a count, a block until it is not zero, and an end when the sender is gone.
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
            0 => Err(io::Error::other("nobody is left to ring")),
            n => Ok(Wakeup::Events(n)),
        }
    }
}

/// How the receiver goes about a message.
#[derive(Clone, Copy, PartialEq)]
enum Receiver {
    /// Arms when it begins to wait.
    Arms,
    /// Arms before it answers the message before, so that it is rung however quick the sender is.
    ArmsEarly,
    /// Looks once before it arms, as one does that spins for a while.
    LooksFirst,
}

fn exchange<const FENCED: bool>(messages: u64, receiver: Receiver) {
    let mut model = loom::model::Builder::new();
    // Few enough preemptions to be tried in seconds.
    model.preemption_bound = (messages > 1).then_some(4);
    model.check(move || {
        let message = Arc::new(AtomicU64::new(0));
        let answer = Arc::new(AtomicU64::new(0));
        let armed = Arc::new(ModelWord::<FENCED>(AtomicU64::new(0)));
        let event = Arc::new(Eventfd { state: Mutex::new(State::default()), risen: Condvar::new() });

        let sender = {
            let (message, answer, armed, event) = (message.clone(), answer.clone(), armed.clone(), event.clone());
            thread::spawn(move || {
                let mut doorbell = RingIfArmed::new(&*armed, || {
                    event.change(|state| state.count += 1);
                    Ok(())
                });
                for seq in 1..=messages {
                    message.store(seq, Ordering::Release);
                    doorbell.notify().unwrap();
                    // Closed loop: the next message waits for the answer to this one.
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
            if receiver == Receiver::LooksFirst && try_take().is_some() {
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
fn no_interleaving_of_one_message_loses_its_wake_up() {
    exchange::<true>(1, Receiver::Arms);
}

#[test]
fn no_interleaving_of_two_messages_loses_or_leaves_a_doorbell() {
    exchange::<true>(2, Receiver::Arms);
}

#[test]
fn no_interleaving_loses_a_doorbell_of_a_receiver_that_spins_first() {
    exchange::<true>(2, Receiver::LooksFirst);
}

#[test]
fn no_interleaving_loses_or_leaves_a_doorbell_of_a_receiver_that_arms_early() {
    exchange::<true>(2, Receiver::ArmsEarly);
}

#[test]
#[should_panic(expected = "a doorbell for every message that is waited for")]
fn without_the_fences_the_model_finds_the_lost_wake_up() {
    exchange::<false>(1, Receiver::Arms);
}
