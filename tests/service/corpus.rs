//! Every request of `tests/corpus/bad-inputs.jsonl` against two replicas of the real
//! program: what is refused leaves nothing behind, what is accepted is stored and arrives.
//!
//! `tests/corpus/README.md` says what the fields of a row mean and what is judged.

mod place;
mod request;
mod row;
mod verdict;
mod wire;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;

use self::place::Fixture;
use self::row::Row;
use self::wire::Reply;

/// Rows that are under way at once, besides the slow ones.
const AT_ONCE: usize = 16;

/// A row with the answers to its requests, in their order.
#[derive(Clone)]
struct Answered<'a> {
    row: &'a Row,
    replies: Vec<Option<Reply>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_input_breaks_the_service_or_gets_a_wrong_answer() {
    let rows = row::read();
    let (place, early) = Fixture::prepare(&rows).await;
    let rest = || rows.iter().filter(|row| row.setup.is_none());
    let slow = rest().filter(|row| row.is_slow());
    let quick = rest().filter(|row| !row.is_slow() && !row.is_burst() && !row.is_destructive());

    let meanwhile = async {
        let mut answered: Vec<_> = stream::iter(quick).map(|row| place.answer(row)).buffered(AT_ONCE).collect().await;
        for row in rest().filter(|row| row.is_burst()) {
            answered.push(place.answer(row).await);
        }
        answered
    };
    let (slow, quick) = tokio::join!(join_all(slow.map(|row| place.answer(row))), meanwhile);
    let mut answered = [early, slow, quick].concat();

    let mut misfits = verdict::effects(&place, &answered).await;
    for row in rest().filter(|row| row.is_destructive()) {
        answered.push(place.answer(row).await);
    }
    for each in &answered {
        misfits.extend(verdict::answers(&place, each));
    }
    misfits.extend(verdict::ledger(&place, &answered).await);
    assert_eq!(answered.len(), rows.len(), "every row is run once");
    assert!(misfits.is_empty(), "{} misfits:\n{}", misfits.len(), misfits.join("\n"));
}
