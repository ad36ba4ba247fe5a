use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use futures_util::future::join_all;

use super::receiver::{OK, Receiver};
use super::*;
use crate::domain::outcome::Outcome;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_attempts_reuse_connections() {
    const AT_ONCE: usize = 4;
    let receiver = Receiver::answering(OK).await;
    let (sender, parcel) = (sender(AMPLE), http(receiver.address));
    for _ in 0..20 {
        for answer in join_all((0..AT_ONCE).map(|_| send(&sender, &parcel))).await {
            assert_eq!(answer.outcome, Outcome::Delivered);
        }
    }
    // A connection may not yet be back in the pool when the next attempt looks there.
    assert!(receiver.accepted() <= 4 * AT_ONCE, "{} connections for 80 attempts", receiver.accepted());
}

#[tokio::test]
async fn a_body_read_to_its_end_leaves_the_connection_reusable() {
    let receiver = Receiver::answering("HTTP/1.1 500 X\r\ncontent-length: 3\r\n\r\nabc").await;
    let sender = sender(AMPLE);
    for _ in 0..3 {
        assert_eq!(send(&sender, &http(receiver.address)).await.body, "abc");
    }
    assert_eq!(receiver.accepted(), 1);
}

async fn stale_after_one(second: &'static str) -> Receiver {
    Receiver::start(move |mut peer| async move {
        peer.answer(OK).await?;
        peer.head().await?;
        peer.send(second).await
    })
    .await
}

#[tokio::test]
async fn a_reused_connection_that_closes_in_silence_was_stale() {
    let receiver = stale_after_one("").await;
    let sender = sender(AMPLE);
    let first = send(&sender, &http(receiver.address)).await;
    assert_eq!((first.outcome, first.stale_connection), (Outcome::Delivered, false));
    let second = send(&sender, &http(receiver.address)).await;
    assert_eq!((second.outcome, second.stale_connection), (Outcome::ClosedEarly, true));
    assert_eq!(second.remote, Some(receiver.address.ip()));
    assert_eq!(receiver.accepted(), 1, "there was a second, silent send");
    let third = send(&sender, &http(receiver.address)).await;
    assert_eq!((third.outcome, third.stale_connection), (Outcome::Delivered, false));
}

fn closing_when_told() -> (SocketAddr, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (close, may_close) = mpsc::channel();
    let (closed, is_closed) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut unread = Vec::new();
        while !unread.ends_with(b"{\"order\":1}") {
            let mut some = [0; 1_024];
            let length = tcp.read(&mut some).unwrap();
            unread.extend_from_slice(&some[..length]);
        }
        tcp.write_all(OK.as_bytes()).unwrap();
        may_close.recv().unwrap();
        drop((tcp, listener));
        closed.send(()).unwrap();
    });
    (address, close, is_closed)
}

/// With no turn of the runtime the write meets a reset; with one turn hyper returns the queued request.
#[tokio::test]
async fn a_connection_that_closed_while_idle_was_stale_and_nothing_is_sent_again() {
    for turns in [0, 1] {
        let (address, close, is_closed) = closing_when_told();
        let (sender, parcel) = (sender(AMPLE), http(address));
        assert_eq!(send(&sender, &parcel).await.outcome, Outcome::Delivered);
        for _ in 0..16 {
            tokio::task::yield_now().await; // the connection goes back to the pool
        }
        close.send(()).unwrap();
        is_closed.recv().unwrap();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let second = send(&sender, &parcel).await;
        assert_eq!((second.outcome, second.stale_connection), (Outcome::ClosedEarly, true), "{turns}");
    }
}

#[tokio::test]
async fn a_reused_connection_that_closes_within_an_answer_was_not_stale() {
    let receiver = stale_after_one("HTTP/1.1 2").await;
    let sender = sender(AMPLE);
    assert_eq!(send(&sender, &http(receiver.address)).await.outcome, Outcome::Delivered);
    let second = send(&sender, &http(receiver.address)).await;
    assert_eq!((second.outcome, second.stale_connection), (Outcome::ClosedEarly, false));
}

#[tokio::test]
async fn a_fresh_connection_that_closes_in_silence_was_not_stale() {
    let receiver = Receiver::start(|mut peer| async move { peer.request().await }).await;
    let answer = met_at(receiver.address).await;
    assert_eq!((answer.outcome, answer.stale_connection), (Outcome::ClosedEarly, false));
}

#[tokio::test]
async fn an_unsolicited_second_response_never_answers_another_request() {
    let receiver = Receiver::start(|mut peer| async move {
        let first = format!("{OK}HTTP/1.1 299 Unsolicited\r\ncontent-length: 0\r\n\r\n");
        let answer = if peer.number == 0 { first } else { OK.to_owned() };
        peer.answer(answer).await?;
        peer.hold().await;
        None
    })
    .await;
    let sender = sender(AMPLE);
    for _ in 0..2 {
        let answer = send(&sender, &http(receiver.address)).await;
        assert!(answer.status != Some(299), "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_with_two_lengths_of_body_is_not_used_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let receiver = Receiver::answering(head).await;
    let sender = sender(AMPLE);
    for _ in 0..2 {
        assert_eq!(send(&sender, &http(receiver.address)).await.outcome, Outcome::Delivered);
    }
    assert_eq!(receiver.accepted(), 2);
}
