//! The benchmark's own arithmetic: what it counts as delivered, lost and repeated.

#![expect(dead_code, reason = "the rest of these files is for the benchmark")]

use std::sync::atomic::Ordering;

#[path = "../benches/sink.rs"]
mod sink;

use sink::Sink;

#[test]
fn an_event_is_owed_once_at_each_target() {
    let sink = Sink::wide(2, 3);
    for target in 0..3 {
        sink.note_arrived(Some(1), target);
    }
    assert_eq!((sink.arrived(&(0..1)), sink.arrived(&(1..2)), sink.books()), (0, 3, (6, 3)));
    sink.note_arrived(Some(1), 2);
    assert_eq!((sink.arrived(&(1..2)), sink.duplicates.load(Ordering::Relaxed)), (3, 1));
}

#[test]
fn what_nobody_sent_is_a_stranger() {
    let sink = Sink::wide(2, 3);
    for (number, target) in [(None, 0), (Some(2), 0), (Some(0), 3)] {
        sink.note_arrived(number, target);
    }
    assert_eq!((sink.books(), sink.strangers.load(Ordering::Relaxed)), ((6, 0), 3));
}
