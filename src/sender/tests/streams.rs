use super::receiver::{OK, Receiver, raw};
use super::*;
use crate::domain::outcome::Outcome;

#[tokio::test]
async fn a_receiver_that_never_answers_times_out() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await?;
        peer.hold().await;
        None
    })
    .await;
    let answer = send(&sender(SHORT), &http(receiver.address)).await;
    assert_eq!((answer.outcome, answer.status), (Outcome::Timeout, None));
    assert_eq!(answer.remote, Some(receiver.address.ip()));
    assert!(answer.duration >= SHORT, "{:?}", answer.duration);
}

#[tokio::test]
async fn a_receiver_that_never_reads_times_out() {
    let address = raw(|tcp| async move {
        std::future::pending::<()>().await;
        drop(tcp);
    })
    .await;
    let mut parcel = http(address);
    parcel.payload = Bytes::from(vec![b' '; 16 << 20]);
    assert_eq!(send(&sender(SHORT), &parcel).await.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn a_head_that_drips_times_out() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.answer("HTTP/1.1 200 OK\r\nx: y").await?;
        peer.hold().await;
        None
    })
    .await;
    assert_eq!(send(&sender(SHORT), &http(receiver.address)).await.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn interim_heads_without_an_answer_time_out() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.answer("HTTP/1.1 100 Continue\r\n\r\n".repeat(5)).await?;
        peer.hold().await;
        None
    })
    .await;
    assert_eq!(send(&sender(SHORT), &http(receiver.address)).await.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let answer = met_at(address).await;
    assert_eq!((answer.outcome, answer.remote), (Outcome::ConnectRefused, Some(address.ip())));
}

#[tokio::test]
async fn a_receiver_that_closes_at_once_closed_early() {
    let receiver = Receiver::start(|_| async { None }).await;
    let answer = met_at(receiver.address).await;
    // The kernel answers a request already sent with a reset.
    assert!(matches!(answer.outcome, Outcome::ClosedEarly | Outcome::Reset), "{answer:?}");
    assert!(!answer.stale_connection);
    assert_eq!(receiver.accepted(), 1, "there was a second, silent send");
}

#[tokio::test]
async fn a_receiver_that_closes_before_or_within_the_head_closed_early() {
    for part in ["", "HTTP/1.1 200 OK\r\nx: "] {
        let mut receiver = Receiver::start(move |mut peer| async move { peer.answer(part).await }).await;
        let answer = met_at(receiver.address).await;
        assert_eq!((answer.outcome, answer.status), (Outcome::ClosedEarly, None));
        assert_eq!((answer.remote, answer.stale_connection), (Some(receiver.address.ip()), false));
        receiver.received();
        assert!(receiver.got_no_more() && receiver.accepted() == 1, "there was a second, silent send");
    }
}

#[tokio::test]
async fn a_reset_connection_has_its_word() {
    let address = raw(|mut tcp| async move {
        use tokio::io::AsyncReadExt as _;
        let _part = tcp.read(&mut [0; 16]).await;
        tcp.set_zero_linger().unwrap();
    })
    .await;
    let answer = met_at(address).await;
    assert_eq!((answer.outcome, answer.stale_connection), (Outcome::Reset, false));
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_counts() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.head().await?;
        peer.send(OK).await?;
        peer.hold().await;
        None
    })
    .await;
    let mut parcel = http(receiver.address);
    parcel.payload = Bytes::from(vec![b' '; 1 << 20]);
    assert_eq!(send(&sender(AMPLE), &parcel).await.outcome, Outcome::Delivered);
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_its_connection() {
    let (opened, is_open) = tokio::sync::oneshot::channel();
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let signals = std::sync::Mutex::new(Some((opened, closed)));
    let receiver = Receiver::start(move |mut peer| {
        let signals = signals.lock().unwrap().take();
        async move {
            let (opened, closed) = signals?;
            peer.request().await?;
            opened.send(()).ok()?;
            peer.hold().await;
            closed.send(()).ok()
        }
    })
    .await;
    let sender = sender(AMPLE);
    let parcel = http(receiver.address);
    tokio::select! {
        _ = send(&sender, &parcel) => panic!("nothing was answered"),
        opened = is_open => opened.unwrap(),
    }
    is_closed.await.unwrap();
}
