//! The benchmark's own arithmetic: what it counts as delivered, lost and repeated, percentiles,
//! and the numbers that payloads bear.

#![expect(dead_code, reason = "the rest of these files is for the benchmark")]

#[path = "../benches/failure.rs"]
mod failure;
#[path = "../benches/findings.rs"]
mod findings;
#[path = "../benches/latency.rs"]
mod latency;
#[path = "../benches/ledger.rs"]
mod ledger;
#[path = "../benches/payload.rs"]
mod payload;
#[path = "../benches/receiver.rs"]
mod receiver;

use std::time::Duration;

use findings::{Table, spread};
use latency::Latencies;
use ledger::Ledger;
use payload::Template;
use receiver::Receiver;

fn receiver() -> Receiver {
    Receiver::with_targets(2, 3, Duration::ZERO)
}

#[test]
fn an_event_is_delivered_once_at_each_target() {
    let receiver = receiver();
    receiver.note_accepted(2);
    for target in [0, 1, 2, 2] {
        receiver.note_arrived(Some(1), target);
    }
    assert_eq!((receiver.arrived(&(0..1)), receiver.arrived(&(1..2)), receiver.outstanding()), (0, 3, 3));
    let books = receiver.books();
    assert_eq!((books.accepted, books.delivered, books.duplicated, books.unexpected), (6, 3, 1, 0));
}

#[test]
fn what_nobody_sent_is_unexpected() {
    let receiver = receiver();
    for (number, target) in [(None, 0), (Some(2), 0), (Some(0), 3)] {
        receiver.note_arrived(number, target);
    }
    assert_eq!((receiver.books().delivered, receiver.books().unexpected), (0, 3));
}

#[test]
fn a_ledger_closes_only_when_everything_is_accounted_for() {
    let closed = || Ledger { accepted: 5, delivered: 3, outstanding: 2, ..Ledger::default() };
    assert!(closed().check().is_ok());
    assert!(Ledger { outstanding: 1, ..closed() }.check().is_err());
    assert!(Ledger { outstanding: 3, ..closed() }.check().is_err());
    assert!(Ledger { unexpected: 1, ..closed() }.check().is_err());
    assert!(Ledger { duplicated: 1, ..closed() }.check().is_err());
    assert!(Ledger { duplicated: 1, may_repeat: true, ..closed() }.check().is_ok());
}

#[test]
fn percentiles_are_latencies_that_were_measured() {
    let latencies: Latencies = (1..=200).rev().map(|millis| millis * 1_000).collect();
    assert_eq!((latencies.p50(), latencies.p99(), latencies.greatest()), (100.0, 198.0, 200.0));
    assert_eq!(Latencies::default().p99(), 0.0);
}

#[test]
fn the_median_of_ratios_has_as_many_below_as_above() {
    assert_eq!(spread([1.5, 0.5, 1.0]), (1.0, 0.5, 1.5));
    assert_eq!(spread([4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0));
    assert_eq!(spread([]), (0.0, 0.0, 0.0));
}

#[test]
fn a_table_is_markdown_with_figures_to_the_right() {
    let mut table = Table::new(["run", "CPU (µs)"]);
    table.row(["uncrowded", "39.2"]);
    assert_eq!(table.to_string(), "| run       | CPU (µs) |\n| --------- | -------: |\n| uncrowded |     39.2 |\n");
}

#[test]
fn a_payload_bears_its_number_and_has_its_size() {
    for bytes in [100, 760, 16_384] {
        let payload = Template::new(bytes).numbered(1_234_567);
        assert_eq!((payload.len(), payload::number(&payload)), (bytes, Some(1_234_567)));
        assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
    }
}
