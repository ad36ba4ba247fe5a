//! What arrives on the wire is read in one way or refused.

use std::time::Duration;

use crate::support::api::TestApi;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let api = TestApi::start().await;
    let key = &api.admin;
    for (name, head) in [
        ("no host", String::new()),
        ("two hosts", "Host: a\r\nHost: b\r\n".to_owned()),
        ("host with a space", "Host: a b\r\n".to_owned()),
        ("gzip", "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n".to_owned()),
        ("space before colon", "Host: a\r\nTransfer-Encoding : chunked\r\n".to_owned()),
        ("signed length", "Host: a\r\nContent-Length: +2\r\n".to_owned()),
        ("two lengths", "Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n".to_owned()),
    ] {
        let request = format!("GET /subscriptions/ HTTP/1.1\r\n{head}Authorization: Bearer {key}\r\n\r\n");
        let answer = api.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_or_too_long_heads_are_refused() {
    let api = TestApi::start().await;
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(70_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(100_000)), 431),
        (format!("GET /subscriptions/{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000)), 414),
    ] {
        let answer = api.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {}", &answer[..answer.len().min(200)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_head_is_cut_off() {
    let api = TestApi::start().await;
    let answer = api.raw(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_refused_and_the_refusal_arrives() {
    let api = TestApi::start().await;
    let path = format!("/ingest/{}", api.subscribe(json!({})).await["id"].as_str().unwrap());
    let declared = api.ask("POST", &path).body("x".repeat(3_000_000)).send().await;
    assert_eq!(declared.code(), "body_too_large");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        api.admin
    );
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let answer = api.raw(format!("{head}{}0\r\n\r\n", chunk.repeat(32)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let huge = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n",
        api.admin
    );
    let answer = api.raw(huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_says_which_methods_it_knows() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/subscriptions/{id}");
    let answer = api.ask("POST", &path).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (405, "method_not_allowed"));
    let allowed = answer.headers["allow"].to_str().unwrap();
    assert!(["GET", "HEAD", "PUT", "PATCH", "DELETE"].iter().all(|method| allowed.contains(method)), "{allowed}");
    assert_eq!(api.ask("TRACE", &path).send().await.status, 405);
    assert_eq!(api.ask("GET", "/nothing").send().await.code(), "route_not_found");
    let head = api.ask("HEAD", &path).send().await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    let connect =
        api.raw(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n").await;
    assert!(connect.starts_with("HTTP/1.1 40"), "{connect}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_is_optional_and_no_part_of_a_path_is_empty() {
    let api = TestApi::start().await;
    for path in ["/subscriptions", "/subscriptions/", "/replays", "/replays/", "/docs", "/docs/", "/"] {
        let status = api.ask("GET", path).send().await.status.as_u16();
        assert_eq!(status, 200, "{path}");
    }
    for path in ["/ingest/", "/ingest//", "//docs", "/events//retry", "/subscriptions/x/y", "/status/logs/x//", "/a%62"]
    {
        assert_eq!(api.ask("POST", path).send().await.code(), "route_not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmless_request_id_is_reused_and_others_are_not() {
    let api = TestApi::start().await;
    let mine = api.stranger("GET", "/nothing").header("x-request-id", "mine-1").send().await;
    assert_eq!(mine.headers["x-request-id"], "mine-1");
    let other = api.stranger("GET", "/nothing").header("x-request-id", "a b").send().await;
    assert_ne!(other.headers["x-request-id"], "a b");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_are_there_without_a_key() {
    let api = TestApi::start().await;
    for path in ["/docs", "/redoc/", "/openapi.json"] {
        let answer = api.stranger("GET", path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text.contains("cancelled_deliveries"), "{path}");
        assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_closes_idle_connections_and_refuses_new_ones() {
    let api = TestApi::start().await;
    let mut idle = TcpStream::connect(api.address).await.unwrap();
    idle.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4_096];
    assert!(idle.read(&mut answer).await.unwrap() > 0);
    api.shutdown.cancel();
    let closed = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the idle connection stays open");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(api.address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "new connections are still taken");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_database_is_reported_as_such() {
    for auth_required in [true, false] {
        let api = TestApi::start_without_database(auth_required).await;
        for (method, path) in [("GET", "/subscriptions/"), ("POST", "/ingest/0199c5f0-0000-7000-8000-000000000001")] {
            let answer = api.ask(method, path).body("{}").send().await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{method} {path}");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        assert_eq!(api.stranger("GET", "/openapi.json").send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_what_is_under_way() {
    let api = TestApi::start().await;
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /subscriptions/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        api.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"));
    api.shutdown.cancel();
    stream.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    // Read to its end: the connection was closed after the answer.
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
}
