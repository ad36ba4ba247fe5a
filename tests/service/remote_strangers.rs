//! Commands that talk to a server, when what answers is hostile, short-spoken, or gone in the middle.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::commands::{Said, Shell};

/// A server that reads requests and answers each with the next of these texts, on a connection of its own.
struct Stranger {
    shell: Shell,
    /// The requests as they arrived.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Stranger {
    async fn saying(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shell = Shell::of(&format!("http://{}", listener.local_addr().unwrap()));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                kept.lock().unwrap().push(request);
                let _gone = stream.write_all(answer.as_bytes()).await;
                let _gone = stream.shutdown().await;
            }
        });
        Self { shell: shell.with("POSTRIDER_KEY", "prk_secret"), heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// A request whose body is no longer than it says.
async fn read(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).await.unwrap_or_default();
        all.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if count == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

fn page(rows: Value, cursor: Option<&str>) -> String {
    let page = json!({ "data": rows, "next_cursor": cursor, "examined_to": cursor.map(|_| "2026-11-28T12:00:00Z") });
    answer("200 OK", "content-type: application/json\r\n", &page.to_string())
}

fn is_harmless(said: &Said) -> bool {
    let acts =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !said.out.contains(acts) && !said.err.contains(acts)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_sends_speaks_to_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\u{202e}txt";
    let row = json!({
        "id": evil, "webhook_id": evil, "event_type": evil, "status": evil, "outcome": evil, "error_message": evil,
        "created_at": evil, "external_id": evil, "target_url": evil, "name": evil, "reason": evil, evil: { evil: [evil] },
        "counts": { evil: 1 }, "deliveries": [{ "subscription_id": evil }], "not_delivered": [{ "detail": evil }],
        "response": { "body": evil },
    });
    let object = answer("200 OK", "content-type: application/json\r\n", &row.to_string());
    for line in [
        "events list",
        "deliveries list",
        "attempts list",
        "subscriptions list",
        "tenants list",
        "keys list",
        "replay list",
    ] {
        let said = Stranger::saying(vec![page(json!([row]), None)]).await.shell.run(line).await.done();
        assert!(is_harmless(&said) && said.out.contains("\\u{1b}[2J"), "{line}: {said:?}");
    }
    for line in
        ["events show x", "attempts show x", "subscriptions show x", "tenants show x", "replay show x", "publish {}"]
    {
        let said = Stranger::saying(vec![object.clone()]).await.shell.run(line).await.done();
        assert!(is_harmless(&said) && said.out.contains("\\u{1b}[2J"), "{line}: {said:?}");
    }
    let problem = json!({ "code": evil, "title": evil, "detail": evil, "request_id": evil,
        "errors": [{ "pointer": evil, "code": evil, "detail": evil }] });
    for (status, headers, body) in [
        ("422 No", "retry-after: 1\r\n", problem.to_string()),
        ("502 Bad", "", evil.to_owned()),
        ("302 Found", "location: /\u{9b}x\r\n", String::new()),
        ("200 OK", "", evil.to_owned()),
    ] {
        let said = Stranger::saying(vec![answer(status, headers, &body)]).await.shell.run("subscriptions list").await;
        assert!(is_harmless(&said) && said.code != Some(0), "{status}: {said:?}");
    }
    let stream = format!("event: {}\ndata: {}\n\n", evil.replace('\r', ""), json!(row));
    let stream = answer("200 OK", "content-type: text/event-stream\r\n", &stream);
    let said = Stranger::saying(vec![stream]).await.shell.run("tail --limit 1").await.done();
    assert!(is_harmless(&said) && said.out.contains("\\u{1b}[2J"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_short_or_empty_is_not_the_end_of_a_list() {
    let rows = |from: u32, to: u32| Value::from_iter((from..to).map(|number| json!({ "webhook_id": number })));
    let pages = vec![
        page(rows(0, 0), Some("one")),
        page(rows(0, 3), Some("two")),
        page(rows(0, 0), Some("three")),
        page(rows(3, 5), None),
    ];
    let stranger = Stranger::saying(pages.clone()).await;
    let said = stranger
        .shell
        .run("events list --status failed --status no_match --since 2026-11-01T00:00:00Z --json")
        .await
        .done();
    let ids: Vec<u64> = said.json_lines().iter().map(|row| row["webhook_id"].as_u64().unwrap()).collect();
    assert_eq!((ids, said.err.as_str()), (vec![0, 1, 2, 3, 4], ""));
    let asked: Vec<String> =
        stranger.heard().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    let filters = "status=failed&status=no_match&since=2026-11-01T00%3A00%3A00Z";
    assert_eq!(asked[0], format!("GET /events?{filters}&limit=50 HTTP/1.1"));
    assert_eq!(asked[3], format!("GET /events?{filters}&limit=47&cursor=three HTTP/1.1"));

    let said = Stranger::saying(pages).await.shell.run("events list --limit 3").await;
    assert_eq!((said.rows().len(), said.err.as_str()), (3, "there are more: --limit N or --all shows them\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_carries_no_key_away() {
    let other = Stranger::saying(vec![page(json!([]), None)]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}/subscriptions", listener.local_addr().unwrap());
    let moved = answer("307 Temporary Redirect", &format!("location: {to}\r\n"), "");
    let stranger = Stranger::saying(vec![moved]).await;
    let said = stranger.shell.run("subscriptions list").await;
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains(&format!("a redirect to {to}, which is not followed")), "{said:?}");
    assert!(stranger.heard()[0].contains("authorization: Bearer prk_secret"));
    assert!(other.heard().is_empty() && !said.err.contains("prk_secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_and_is_no_postrider_is_said_to_be_none() {
    for (status, body, says) in [
        ("502 Bad Gateway", "<html><h1>Bad Gateway</h1>", "postrider: 502 not a problem of postrider: <html>"),
        ("404 Not Found", "<html>", "postrider: 404 not a problem of postrider: <html>"),
        ("200 OK", "hello", "the answer is not the JSON that was expected"),
        ("200 OK", "{}", "the answer is not the JSON that was expected"),
    ] {
        let said = Stranger::saying(vec![answer(status, "", body)]).await.shell.run("subscriptions list").await;
        assert!(said.code == Some(3) && said.err.contains(says), "{status}: {said:?}");
    }
    let broken = Stranger::saying(vec!["HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"da".to_owned()]).await;
    let said = broken.shell.run("publish {}").await;
    assert!(said.code == Some(3) && said.err.contains("the event may have been accepted"), "{said:?}");
    let old = json!({ "code": "route_not_found", "detail": "there is nothing at this path" }).to_string();
    let said = Stranger::saying(vec![answer("404 Not Found", "", &old)]).await.shell.run("tail").await;
    assert!(said.code == Some(1) && said.err.contains("this server may be older than this program"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_whose_connection_is_lost_goes_on_where_it_broke_off() {
    let event = |id: &str, number: u32| {
        let data =
            json!({ "webhook_id": format!("w{number}"), "event_type": "order.paid", "at": "2026-11-28T12:00:00Z" });
        format!(": heartbeat\n\nevent: accepted\nid: {id}\ndata: {data}\n\n")
    };
    let stream = |text: &str| {
        // Without a length: it lasts until the connection is closed.
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{text}")
    };
    let half = format!("{}event: accepted\nid: lost", event("one", 1));
    let busy = answer("503 Busy", "content-type: application/problem+json\r\n", r#"{"code": "busy", "title": "t"}"#);
    let stranger = Stranger::saying(vec![stream(&half), busy, stream(&(event("two", 2) + &event("three", 3)))]).await;
    let said = stranger.shell.run("tail --status failed --limit 3").await.done();
    let lines: Vec<&str> = said.out.lines().collect();
    let expected = [1, 2, 3].map(|number| format!("12:00:00Z  accepted  w{number}  order.paid"));
    assert_eq!(lines, expected);
    assert!(said.err.contains("the server ended the stream; connecting again in 1 s"), "{said:?}");
    assert!(said.err.contains("503 busy: t; connecting again in 2 s\nconnected again\n"), "{said:?}");
    let heard = stranger.heard();
    assert!(heard[0].starts_with("GET /stream?status=failed HTTP/1.1\r\n") && !heard[0].contains("last-event-id"));
    for again in &heard[1..] {
        assert!(again.contains("last-event-id: one\r\n") && again.contains("accept: text/event-stream\r\n"), "{again}");
    }

    let json = Stranger::saying(vec![stream(&event("one", 1))]).await.shell.run("tail --limit 1 --json").await.done();
    let line = json.json_lines().remove(0);
    assert_eq!(
        (&line["id"], &line["event"], &line["data"]["webhook_id"]),
        (&json!("one"), &json!("accepted"), &json!("w1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_many_deliveries_is_what_was_shown() {
    let json = |value: Value| answer("200 OK", "content-type: application/json\r\n", &value.to_string());
    let plan = json(json!({
        "count": 3, "by_subscription": [{ "subscription_id": "s1", "external_id": "acme", "count": 3 }], "sample": [], "token": "t1",
    }));
    let replay = |status: &str, replayed: u32| json(json!({ "id": "r1", "status": status, "replayed": replayed }));
    let answers = vec![plan.clone(), replay("running", 0), replay("running", 2), replay("finished", 3)];
    let stranger = Stranger::saying(answers).await;
    let create = "replay create --status failed --status expired --subscription acme --since 2026-11-01T00:00:00Z --to matching --rate 9";
    let said = stranger.shell.run(&format!("{create} --yes")).await.done();
    assert!(
        said.out
            .starts_with("SUBSCRIPTION  COUNT  EXTERNAL ID  TARGET\ns1            3      acme\nreplay 3 deliveries\n"),
        "{said:?}"
    );
    assert!(said.out.contains("status    finished"), "{said:?}");
    assert!(said.err.contains("[####################          ] 2 of 3 replayed"), "{said:?}");
    let heard = stranger.heard();
    let bodies: Vec<Value> = heard[..2]
        .iter()
        .map(|request| serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap())
        .collect();
    let mut body = json!({
        "only": { "status": ["failed", "expired"], "subscription_id": ["acme"], "since": "2026-11-01T00:00:00Z" },
        "to": "matching", "rate": 9, "dry_run": true,
    });
    assert_eq!(bodies[0], body);
    body.as_object_mut().unwrap().remove("dry_run");
    body["token"] = json!("t1");
    assert_eq!(bodies[1], body);
    assert!(heard[2].starts_with("GET /replays/r1 "));

    let asks = Stranger::saying(vec![plan.clone()]).await;
    let said = asks.shell.run(create).await;
    assert!(said.code == Some(2) && said.err.contains("add --yes"), "nobody can be asked: {said:?}");
    let looks = Stranger::saying(vec![plan.clone()]).await;
    let said = looks.shell.run("deliveries cancel --status held --dry-run").await.done();
    assert!(said.out.ends_with("would cancel 3 deliveries\n") && looks.heard().len() == 1, "{said:?}");
    let cancelled = Stranger::saying(vec![plan, replay("running", 0), replay("cancelled", 0)]).await;
    let said = cancelled.shell.run("replay create --status failed --yes").await;
    assert!(said.code == Some(1) && said.err.contains("the replay was cancelled"), "{said:?}");
}
