use super::receiver::Receiver;
use super::*;
use crate::domain::outcome::Outcome;

async fn met(head: impl AsRef<[u8]> + Clone + Send + Sync + 'static) -> Answer {
    met_at(Receiver::answering(head).await.address).await
}

#[tokio::test]
async fn every_final_status_has_its_outcome() {
    for (status, outcome) in [
        (200, Outcome::Delivered),
        (201, Outcome::Delivered),
        (202, Outcome::Delivered),
        (206, Outcome::Delivered),
        (299, Outcome::Delivered),
        (300, Outcome::Http3xx),
        (304, Outcome::Http3xx),
        (400, Outcome::Http4xx),
        (410, Outcome::Http4xx),
        (429, Outcome::Http4xx),
        (500, Outcome::Http5xx),
        (504, Outcome::Http5xx),
        (600, Outcome::HttpOther),
        (999, Outcome::HttpOther),
    ] {
        let answer = met(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!((answer.outcome, answer.status), (outcome, Some(status)));
        assert!(!answer.stale_connection);
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_never_followed() {
    let elsewhere = Receiver::answering(super::receiver::OK).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/", elsewhere.address);
        let answer = met(format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!((answer.outcome, answer.status), (Outcome::Http3xx, Some(status)));
    }
    assert_eq!(elsewhere.accepted(), 0);
}

#[tokio::test]
async fn switching_protocols_is_a_failure() {
    let answer = met("HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
    assert_eq!((answer.outcome, answer.status), (Outcome::Http1xx, Some(101)));
}

#[tokio::test]
async fn what_has_no_status_line_is_a_bad_response_that_shows_its_beginning() {
    for (garbage, shown) in [
        ("SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_9.2p1"),
        ("<html>hello</html>", "<html>hello</html>"),
        ("PHP Warning: x\r\nHTTP/1.1 200 OK\r\n\r\n", "PHP Warning: x"),
        ("HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 099 X"),
        ("HTTP/1.1 1000 X\r\n\r\n", "HTTP/1.1 1000 X"),
        ("\0\0\x12\x04\0\0\0", r"\x00\x00\x12\x04\x00\x00\x00"),
    ] {
        let answer = met(garbage).await;
        assert_eq!((answer.outcome, answer.status), (Outcome::BadResponse, None), "{garbage:?}");
        assert!(answer.body.is_empty() && !answer.stale_connection);
        assert_eq!(answer.first_line.as_deref(), Some(shown));
        let message = format!("bad_response: the answer begins with no HTTP status line, but with \"{shown}\"");
        assert_eq!(answer.message(), Some(message));
    }
}

/// As curl and browsers see it: each of these says 200.
#[tokio::test]
async fn a_head_with_a_status_line_is_an_answer_whatever_follows() {
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(200_000));
    for lines in [
        "PHP Warning: PHP Startup: Unable to load dynamic library 'x.so' in Unknown on line 0\r\n",
        "nonsense\r\n",
        "Access-Control-Allow-Credentials : true\r\n",
        "x: folded\r\n over\r\n\tthree lines\r\n",
        " folded at once\r\n",
        "odd name(1)/[x]: y\r\n",
        ": no name\r\n",
        "naïve: ü\r\n",
        "x: a\0b\x01\x1b[31m\x7f\r\n",
        "x: a\rb\r\n",
        "x: line feeds\n",
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: two\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 9\r\n",
        "transfer-encoding: x\r\n",
        &many,
        &long,
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{lines}Retry-After : 5\r\nwebhook-delivery:\r\n disable\r\n\r\n");
        let receiver = Receiver::start(move |mut peer| {
            let head = head.clone();
            async move { peer.answer(head).await }
        })
        .await;
        let answer = met_at(receiver.address).await;
        assert_eq!((answer.outcome, answer.status), (Outcome::Delivered, Some(200)), "{lines:.80?}");
        assert_eq!(answer.retry_after, Some(Duration::from_secs(5)), "{lines:.80?}");
        assert!(answer.directives.disable, "{lines:.80?}");
    }
}

#[tokio::test]
async fn a_status_line_may_be_sloppy_too() {
    for line in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1  200  OK",
        "http/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/2 200",
        "HTTP/1.1 200 \x1b[31mü\0",
        "\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\nsloppy\n\nHTTP/1.1 200 OK",
    ] {
        let answer = met(format!("{line}\r\ncontent-length: 2\r\n\r\nok")).await;
        assert_eq!((answer.outcome, &*answer.body), (Outcome::Delivered, &b"ok"[..]), "{line:?}");
    }
}

#[tokio::test]
async fn after_a_success_the_body_may_be_broken() {
    for body in ["zz\r\nok", "2\r\nok", "ffffffffffffffffff\r\n", ""] {
        let head = format!("HTTP/1.1 200 OK\r\nnonsense\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let receiver = Receiver::start(move |mut peer| {
            let head = head.clone();
            async move { peer.answer(head).await }
        })
        .await;
        assert_eq!(met_at(receiver.address).await.outcome, Outcome::Delivered, "{body:?}");
    }
}

#[tokio::test]
async fn a_sloppy_head_that_says_where_its_body_ends_keeps_the_connection() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\nnonsense\nContent-Length : 2\n\nok").await;
    let sender = sender(AMPLE);
    for _ in 0..3 {
        let answer = send(&sender, &http(receiver.address)).await;
        assert_eq!((answer.outcome, &*answer.body), (Outcome::Delivered, &b"ok"[..]));
    }
    assert_eq!(receiver.accepted(), 1);
}

#[tokio::test]
async fn a_banner_before_any_request_is_a_bad_response() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.send("220 mail.example ESMTP\r\n").await?;
        peer.hold().await;
        None
    })
    .await;
    let answer = met_at(receiver.address).await;
    assert_eq!((answer.outcome, answer.stale_connection), (Outcome::BadResponse, false));
}

/// Chromium stops at 256 KiB as well, and curl at 300 KB.
#[tokio::test]
async fn a_head_without_end_is_too_large() {
    let long = "y".repeat(300_000);
    assert_eq!(met(format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n")).await.outcome, Outcome::ResponseTooLarge);
    let many = "x: y\r\n".repeat(60_000);
    assert_eq!(met(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await.outcome, Outcome::ResponseTooLarge);
}

#[tokio::test]
async fn strange_bytes_in_headers_harm_nothing() {
    let head = b"HTTP/1.1 503 \x1b[31m\xff\r\nx: \xff\xfe\r\nretry-after: \xff1\r\ncontent-length: 0\r\n\r\n";
    let answer = met(head).await;
    assert!(matches!(answer.outcome, Outcome::Http5xx | Outcome::BadResponse), "{answer:?}");
    assert_eq!(answer.retry_after, None);
}

#[tokio::test]
async fn retry_after_is_read_from_any_answer() {
    for (status, value, expected) in [
        (429, "120", Some(120)),
        (503, "7", Some(7)),
        (200, "5", Some(5)),
        (503, "-5", None),
        (503, "1e309", None),
        (503, "((((", None),
    ] {
        let head = format!("HTTP/1.1 {status} X\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(met(head).await.retry_after, expected.map(Duration::from_secs), "{value}");
    }
    let dated = "HTTP/1.1 503 X\r\nretry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\ncontent-length: 0\r\n\r\n";
    assert!(met(dated).await.retry_after > Some(Duration::from_secs(86_400)));
}

#[tokio::test]
async fn interim_heads_before_the_answer_are_skipped() {
    let head = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(3) + super::receiver::OK;
    assert_eq!(met(head).await.status, Some(200));
}

#[tokio::test]
async fn a_flood_of_interim_heads_ends_long_before_the_deadline() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await?;
        peer.repeat("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
        None
    })
    .await;
    let answer = met_at(receiver.address).await;
    assert_eq!((answer.outcome, answer.status), (Outcome::Timeout, None));
    assert!(answer.duration < AMPLE / 2, "{:?}", answer.duration);
}
