use super::receiver::Receiver;
use super::*;
use crate::domain::attempt::MAX_RESPONSE_BODY_BYTES;
use crate::domain::outcome::Outcome;

async fn endless(first: &'static str, then: &'static [u8]) -> Receiver {
    Receiver::start(move |mut peer| async move {
        peer.answer(first).await?;
        if then.is_empty() {
            peer.hold().await;
        }
        peer.repeat(then).await;
        None
    })
    .await
}

async fn stalling(bytes: &'static str) -> Receiver {
    endless(bytes, b"").await
}

#[tokio::test]
async fn the_body_is_kept_as_it_came() {
    let gzip = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\n\x1f\x8b\0\xff<>";
    let answer = met_at(Receiver::answering(gzip).await.address).await;
    assert_eq!(answer.body, b"\x1f\x8b\0\xff<>".as_slice());
    let chunked = "HTTP/1.1 422 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = met_at(Receiver::answering(chunked).await.address).await;
    assert_eq!((answer.outcome, answer.body), (Outcome::Http4xx, Bytes::from_static(b"abcde")));
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_cap_and_its_connection_closed() {
    for (status, outcome) in [("200", Outcome::Delivered), ("500", Outcome::Http5xx)] {
        let head: &'static str = format!("HTTP/1.1 {status} X\r\ntransfer-encoding: chunked\r\n\r\n").leak();
        let (closed, is_closed) = tokio::sync::oneshot::channel();
        let closed = std::sync::Mutex::new(Some(closed));
        let receiver = Receiver::start(move |mut peer| {
            let closed = closed.lock().unwrap().take();
            async move {
                peer.answer(head).await?;
                peer.repeat(b"400\r\n".iter().copied().chain([b'x'; 1_024]).chain(*b"\r\n").collect::<Vec<u8>>()).await;
                closed?.send(()).ok()
            }
        })
        .await;
        let answer = met_at(receiver.address).await;
        assert_eq!((answer.outcome, answer.body.len()), (outcome, MAX_RESPONSE_BODY_BYTES));
        is_closed.await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_stalls_never_changes_a_success() {
    let receiver = stalling("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nabc").await;
    let answer = send(&sender(SHORT), &http(receiver.address)).await;
    assert_eq!((answer.outcome, answer.body), (Outcome::Delivered, Bytes::from_static(b"abc")));
    assert!(answer.duration >= Duration::from_secs(2) && answer.duration < AMPLE, "{:?}", answer.duration);
}

#[tokio::test]
async fn a_body_that_stalls_after_a_failure_has_only_the_rest_of_the_deadline() {
    let receiver = stalling("HTTP/1.1 500 X\r\ncontent-length: 1000000\r\n\r\nabc").await;
    let answer = send(&sender(SHORT), &http(receiver.address)).await;
    assert_eq!((answer.outcome, answer.body), (Outcome::Http5xx, Bytes::from_static(b"abc")));
    assert!(answer.duration >= SHORT && answer.duration < Duration::from_secs(2), "{:?}", answer.duration);
}

#[tokio::test]
async fn a_body_that_breaks_off_never_changes_a_success() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n",
        "HTTP/1.1 200 OK\r\n\r\nabc",
    ] {
        let receiver = Receiver::start(move |mut peer| async move { peer.answer(bytes).await }).await;
        let answer = met_at(receiver.address).await;
        assert_eq!((answer.outcome, answer.body), (Outcome::Delivered, Bytes::from_static(b"abc")), "{bytes}");
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_without_end_are_left_behind() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let (extension, trailers) = (format!("{chunked}1;").leak() as &str, format!("{chunked}0\r\n").leak() as &str);
    for (first, then) in [(extension, b"xxxxxxxx".as_slice()), (trailers, b"x: y\r\n".as_slice())] {
        let receiver = endless(first, then).await;
        assert_eq!(met_at(receiver.address).await.outcome, Outcome::Delivered);
    }
}

#[tokio::test]
async fn a_204_needs_no_body() {
    let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let answer = met_at(receiver.address).await;
    assert_eq!((answer.outcome, answer.body.len()), (Outcome::Delivered, 0));
}
