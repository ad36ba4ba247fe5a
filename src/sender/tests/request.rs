use time::macros::datetime;

use super::receiver::{OK, Receiver};
use super::*;
use crate::domain::outcome::Outcome;
use crate::domain::request_headers::{HeaderChanges, RequestHeaders};
use crate::domain::rotation::{OlderSecret, Secrets};
use crate::domain::target::MAX_TARGET_LENGTH;

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let mut receiver = Receiver::answering(OK).await;
    let mut parcel = parcel(&format!("http://{}/in?a=1&b=%20", receiver.address));
    parcel.event_type = Some("order.created".parse().unwrap());
    parcel.attempt_number = 3;
    let now = datetime!(2026-01-02 03:04:05.678 UTC);
    let answer = sender(AMPLE).send(&parcel, now).await.unwrap();
    assert_eq!((answer.outcome, answer.status), (Outcome::Delivered, Some(200)));
    assert_eq!(answer.remote, Some(receiver.address.ip()));

    let request = receiver.received();
    assert!(request.head.starts_with("POST /in?a=1&b=%20 HTTP/1.1\r\n"), "{}", request.head);
    for (name, value) in [
        ("host", receiver.address.to_string()),
        ("content-type", "application/json".to_owned()),
        ("content-length", parcel.payload.len().to_string()),
        ("user-agent", format!("postrider/{}", env!("CARGO_PKG_VERSION"))),
        ("webhook-id", parcel.key.event.to_string()),
        ("webhook-timestamp", now.unix_timestamp().to_string()),
        ("x-event-type", "order.created".to_owned()),
        ("webhook-hops", "1".to_owned()),
        ("x-webhook-attempt", "3".to_owned()),
    ] {
        assert_eq!(request.header(name), Some(value.as_str()), "{name}");
    }
    assert_eq!(request.header("accept-encoding"), None);
    assert_eq!(request.head.lines().filter(|line| line.contains(": ")).count(), 11);
}

#[tokio::test]
async fn the_content_type_is_that_of_the_producer() {
    for sent in ["application/json; charset=utf-8", "application/x-www-form-urlencoded", "application/cloudevents+json"]
    {
        let mut receiver = Receiver::answering(OK).await;
        let mut parcel = parcel(&format!("http://{}/in", receiver.address));
        parcel.content_type = sent.parse().unwrap();
        sender(AMPLE).send(&parcel, datetime!(2026-01-02 03:04:05 UTC)).await.unwrap();
        assert_eq!(receiver.received().header("content-type"), Some(sent));
    }
}

#[tokio::test]
async fn an_event_without_a_type_has_no_type_header() {
    let mut receiver = Receiver::answering(OK).await;
    met_at(receiver.address).await;
    assert_eq!(receiver.received().header("x-event-type"), None);
}

#[tokio::test]
async fn the_bytes_arrive_unchanged_and_a_library_verifies_every_valid_secret() {
    let mut receiver = Receiver::answering(OK).await;
    let sender = sender(AMPLE);
    let payloads = [
        " {\n \"b\" : 1,\t\"a\":2 }\r\n".to_owned(),
        "{\"a\":\"é日😀\",\"a\":12345678901234567890123,\"n\":1e400}".to_owned(),
        format!("{{\"big\":\"{}\"}}", "x".repeat(1 << 20)),
    ];
    for payload in payloads {
        let mut parcel = http(receiver.address);
        parcel.payload = Bytes::from(payload.clone());
        let target = parcel.destination.target.clone();
        let now = time::OffsetDateTime::now_utc();
        let older = |n, until| OlderSecret { secret: secret(n), until };
        let older = vec![older(2, now + Duration::from_secs(1)), older(3, now)];
        parcel.destination = Arc::new(Destination::new(target, Secrets::new(secret(1), older)));
        assert_eq!(sender.send(&parcel, now).await.unwrap().outcome, Outcome::Delivered);

        let request = receiver.received();
        assert!(request.body == payload.as_bytes(), "the bytes differ");
        let headers: hyper::HeaderMap = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| (name.parse().unwrap(), request.header(name).unwrap().parse().unwrap()))
            .into_iter()
            .collect();
        for (number, is_live) in [(1, true), (2, true), (3, false)] {
            let stranger = standardwebhooks::Webhook::new(secret(number).reveal()).unwrap();
            assert_eq!(stranger.verify(&request.body, &headers).is_ok(), is_live, "secret {number}");
            assert!(stranger.verify(b"{}", &headers).is_err());
        }
        let hub = crate::domain::signature::sign_hub(&secret(1), &request.body);
        assert_eq!(request.header("x-hub-signature-256"), Some(hub.as_str()));
    }
}

#[tokio::test]
async fn a_target_that_http_cannot_address_is_blocked() {
    let answer = send(&sender(AMPLE), &parcel("https://a{b.example.com/in")).await;
    assert_eq!((answer.outcome, answer.remote), (Outcome::BlockedAddress, None));
}

/// Many servers read no more of a head: Apache 8,190 bytes a line, nginx 8 KiB a line, Node 16 KiB in all.
#[tokio::test]
async fn the_largest_head_of_a_request_is_below_8_kib() {
    let mut receiver = Receiver::answering(OK).await;
    let mut url = format!("http://{}/", receiver.address);
    url.push_str(&"x".repeat(MAX_TARGET_LENGTH - url.len()));
    let mut parcel = parcel(&url);
    parcel.event_type = Some("x".repeat(128).parse().unwrap());
    parcel.attempt_number = u32::MAX;
    let now = OffsetDateTime::now_utc();
    let older = (2..6).map(|n| OlderSecret { secret: secret(n), until: now + AMPLE }).collect();
    let mut destination = Destination::new(parcel.destination.target.clone(), Secrets::new(secret(1), older));
    // 20 lines of 230 bytes.
    let lines = (0..20).map(|n| (format!("x-{n:02}"), Some("y".repeat(222))));
    let changes = HeaderChanges { headers: Some(lines.collect()), auth: None };
    destination.headers = changes.over(&RequestHeaders::default()).unwrap();
    parcel.destination = Arc::new(destination);
    assert_eq!(send(&sender(AMPLE), &parcel).await.outcome, Outcome::Delivered);
    let head = receiver.received().head.len();
    assert!((7_000..=8_192).contains(&head), "{head}");
}
