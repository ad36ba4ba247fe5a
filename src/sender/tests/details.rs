use time::macros::datetime;

use super::receiver::{OK, Receiver};
use super::*;
use crate::domain::auth::Auth;
use crate::domain::detail::{Detail, FieldValue, MAX_KEPT_BYTES, MAX_KEPT_FIELDS};
use crate::domain::outcome::Outcome;
use crate::domain::request_headers::{AuthChange, HeaderChanges, RequestHeaders};

fn one(value: &str) -> FieldValue {
    FieldValue::One(value.to_owned())
}

fn keeping(keep: KeepDetail) -> Sender {
    Sender::new(SenderConfig { keep, ..config(AMPLE) })
}

async fn detail_of(response: String) -> Detail {
    let receiver = Receiver::answering(response).await;
    *met_at(receiver.address).await.detail.unwrap()
}

/// A parcel with a header and an authorization of its subscription.
fn with_secrets(address: std::net::SocketAddr) -> Parcel {
    let headers = [("x-api-key".to_owned(), Some("key-4711".to_owned()))].into();
    let auth = Some(Some(AuthChange::New(Auth::bearer("token-4712".to_owned()).unwrap())));
    let headers = HeaderChanges { headers: Some(headers), auth }.over(&RequestHeaders::default()).unwrap();
    let mut parcel = http(address);
    parcel.destination = Arc::new(Destination { headers, ..(*parcel.destination).clone() });
    parcel
}

#[tokio::test]
async fn the_request_is_kept_as_it_was_sent_with_masks_for_what_is_secret() {
    let mut receiver = Receiver::answering(OK).await;
    let mut parcel = with_secrets(receiver.address);
    parcel.event_type = Some("order.created".parse().unwrap());
    let answer = keeping(KeepDetail::All).send(&parcel, datetime!(2026-01-02 03:04:05 UTC)).await.unwrap();
    let detail = answer.detail.unwrap();
    assert_eq!(detail.url, format!("http://{}/in", receiver.address));
    let sent = receiver.received();
    let masks = [
        ("webhook-signature", "v1,********"),
        ("x-hub-signature-256", "sha256=********"),
        ("x-api-key", "********"),
        ("authorization", "********"),
    ];
    let lines = sent.head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let expected = lines.map(|(name, value)| {
        let masked = masks.iter().find(|(of, _)| name.eq_ignore_ascii_case(of));
        (name.to_ascii_lowercase(), one(masked.map_or(value, |(_, mask)| mask)))
    });
    assert_eq!(detail.request, expected.collect());
}

#[tokio::test]
async fn a_response_that_repeats_secrets_is_kept_without_them() {
    let echo = "HTTP/1.1 500 X\r\nx-got: key-4711, Bearer token-4712\r\nwww-authenticate: realm=token-4712\r\n\
                content-length: 0\r\n\r\n";
    let receiver = Receiver::answering(echo).await;
    let parcel = with_secrets(receiver.address);
    let answer = keeping(KeepDetail::Failures).send(&parcel, OffsetDateTime::now_utc()).await.unwrap();
    let kept = serde_json::to_string(&answer.detail.unwrap()).unwrap();
    assert!(kept.contains(r#""x-got":"********, ********""#), "{kept}");
    assert!(!kept.contains("4711") && !kept.contains("4712"), "{kept}");
}

#[tokio::test]
async fn masks_are_not_masked_and_a_long_secret_comes_before_its_parts() {
    let long = format!("key-{}", "s".repeat(2_000));
    let mut values: Vec<String> = (0..12).map(|stars| "*".repeat(1 + stars % 8)).collect();
    values.extend(["key".to_owned(), "key-4711".to_owned(), long.clone()]);
    let headers = values.into_iter().enumerate().map(|(n, value)| (format!("x-own-{n}"), Some(value))).collect();
    let headers = HeaderChanges { headers: Some(headers), auth: None }.over(&RequestHeaders::default()).unwrap();
    let receiver = Receiver::answering(format!("HTTP/1.1 500 X\r\nx: *\r\ny: key-4711\r\nz: {long}\r\n\r\n")).await;
    let mut parcel = http(receiver.address);
    parcel.destination = Arc::new(Destination { headers, ..(*parcel.destination).clone() });
    let answer = keeping(KeepDetail::Failures).send(&parcel, OffsetDateTime::now_utc()).await.unwrap();
    let fields = answer.detail.unwrap().response.unwrap();
    assert_eq!((&fields["x"], &fields["y"]), (&one("*"), &one("********")));
    assert!(!fields.contains_key("z"), "a part of it would not be recognised");
}

#[tokio::test]
async fn the_response_is_kept_with_readable_values_and_arrays_for_what_came_twice() {
    let head = "HTTP/1.1 404 X\r\nSet-Cookie: a=1\r\nx odd: 1\r\nno colon\r\nX-Bytes: \u{1}\u{7f}é\r\nSet-Cookie: b=2\r\n\
                folded: one\r\n two\r\ncontent-length: 0\r\n\r\n";
    let detail = detail_of(head.to_owned()).await;
    let fields = detail.response.unwrap();
    assert_eq!(fields["set-cookie"], FieldValue::Several(vec!["a=1".to_owned(), "b=2".to_owned()]));
    assert_eq!(fields["x-bytes"], one("\u{fffd}\u{fffd}é"));
    assert_eq!(fields["folded"], one("one two"));
    assert_eq!(fields["content-length"], one("0"));
    assert_eq!((fields.len(), detail.response_is_cut), (4, false));
}

#[tokio::test]
async fn what_is_kept_of_a_response_is_bounded_in_number_and_bytes() {
    let with = |lines: String| format!("HTTP/1.1 500 X\r\n{lines}content-length: 0\r\n\r\n");
    let many = detail_of(with((0..200).map(|n| format!("x-{n}: y\r\n")).collect())).await;
    assert_eq!((many.response.unwrap().len(), many.response_is_cut), (MAX_KEPT_FIELDS, true));
    let long = detail_of(with((0..9).map(|n| format!("x-{n}: {}\r\n", "y".repeat(300))).collect())).await;
    let bytes: usize = long.response.unwrap().keys().map(|name| name.len() + 300).sum();
    assert!((MAX_KEPT_BYTES - 600..=MAX_KEPT_BYTES + 300).contains(&bytes) && long.response_is_cut, "{bytes}");
    let cut = detail_of(with(format!("x: {}\r\n", "y".repeat(1_500)))).await;
    assert!(cut.response_is_cut && !cut.response.unwrap().contains_key("x"));
}

#[tokio::test]
async fn whether_the_body_is_whole_is_known_to_the_byte() {
    for (bytes, is_cut) in [(0, false), (16_384, false), (16_385, true)] {
        let body = "y".repeat(bytes);
        let sized = detail_of(format!("HTTP/1.1 500 X\r\ncontent-length: {bytes}\r\n\r\n{body}")).await;
        assert_eq!(sized.body_is_cut, is_cut, "{bytes}");
        let chunks = format!("{bytes:x}\r\n{body}\r\n").repeat(usize::from(bytes > 0));
        let chunked = detail_of(format!("HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")).await;
        assert_eq!(chunked.body_is_cut, is_cut, "{bytes} in chunks");
    }
}

#[tokio::test]
async fn a_fresh_connection_has_all_parts_and_a_reused_one_the_last_two() {
    let receiver = Receiver::answering(OK).await;
    let sender = keeping(KeepDetail::All);
    let parcel = parcel(&format!("http://localhost:{}/in", receiver.address.port()));
    let fresh = send(&sender, &parcel).await.detail.unwrap().timing;
    let total = fresh.total_ms.unwrap();
    let parts = [fresh.dns_ms, fresh.connect_ms, fresh.first_byte_ms].map(Option::unwrap);
    assert!(parts.iter().map(|part| part.0).sum::<u32>() <= total.0 && parts[1].0 > 0, "{fresh:?}");
    assert_eq!(fresh.tls_ms, None);
    let reused = send(&sender, &parcel).await.detail.unwrap().timing;
    assert_eq!(receiver.accepted(), 1);
    assert_eq!((reused.dns_ms, reused.connect_ms, reused.tls_ms), (None, None, None));
    assert!(reused.first_byte_ms.unwrap() <= reused.total_ms.unwrap(), "{reused:?}");
}

#[tokio::test]
async fn without_a_connection_the_part_that_failed_lasts_to_the_end() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = met_at(closed).await;
    assert_eq!(refused.outcome, Outcome::ConnectRefused);
    let detail = refused.detail.unwrap();
    let parts = detail.timing;
    assert!(parts.connect_ms.is_some() && parts.connect_ms <= parts.total_ms, "{parts:?}");
    assert_eq!((parts.dns_ms, parts.tls_ms, parts.first_byte_ms, detail.response), (None, None, None, None));
    let unknown = send(&sender(AMPLE), &parcel("http://no-such-name.invalid/")).await.detail.unwrap().timing;
    assert!(unknown.dns_ms.is_some() && unknown.connect_ms.is_none(), "{unknown:?}");
}

#[tokio::test]
async fn the_setting_says_which_attempts_keep_details() {
    let failing = "HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n";
    for (keep, of_success, of_failure) in
        [(KeepDetail::All, true, true), (KeepDetail::Failures, false, true), (KeepDetail::None, false, false)]
    {
        let sender = keeping(keep);
        for (response, is_kept) in [(OK, of_success), (failing, of_failure)] {
            let receiver = Receiver::answering(response).await;
            // The second on the same connection.
            for _ in 0..2 {
                let detail = send(&sender, &http(receiver.address)).await.detail;
                assert_eq!(detail.and_then(|detail| detail.response).is_some(), is_kept, "{keep:?} {response}");
            }
        }
    }
}
