//! `postrider listen` shows what arrives, says what its signature is worth, and fails on demand.

use std::sync::{Arc, Mutex};

use clap::Parser;
use postrider::commands::listen::{Listen, Receiver};
use postrider::domain::secret::Secret;
use postrider::domain::signature::{sign_hub, sign_v1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    listen: Listen,
}

struct Listening {
    address: std::net::SocketAddr,
    blocks: Arc<Mutex<Vec<String>>>,
}

async fn listen(options: &[&str]) -> Listening {
    let line = CommandLine::parse_from(["listen", "--port", "0"].iter().chain(options));
    let receiver = Receiver::bind(line.listen).await.unwrap();
    let address = receiver.address().unwrap();
    let blocks = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&blocks);
    tokio::spawn(receiver.run(move |block| kept.lock().unwrap().push(block.to_owned())));
    Listening { address, blocks }
}

impl Listening {
    /// Sends a request; returns the status line and the printed block.
    async fn post(&self, headers: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST /hook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.lines().next().unwrap().to_owned(), self.blocks.lock().unwrap().last().unwrap().clone())
    }
}

fn signed(body: &str, age_seconds: i64) -> String {
    let secret = Secret::parse(SECRET).unwrap();
    let timestamp = time::OffsetDateTime::now_utc().unix_timestamp() - age_seconds;
    format!(
        "webhook-id: e1\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {}\r\nx-hub-signature-256: {}\r\n\
         x-event-type: order.created\r\nx-webhook-attempt: 1\r\n",
        sign_v1(&secret, "e1", timestamp, body.as_bytes()),
        sign_hub(&secret, body.as_bytes()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_signature_is_verified_and_a_changed_body_or_an_old_one_is_not() {
    let listening = listen(&["--secret", SECRET]).await;
    let (status, block) = listening.post(&signed("{\"a\":1}", 0), "{\"a\":1}").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(block.contains("POST /hook  order.created  attempt 1  signature verified  -> 200\n"), "{block}");
    assert!(block.contains("webhook-id  e1\n") && block.contains("{\"a\":1} (7 bytes)\n"), "{block}");
    let (_, block) = listening.post(&signed("{\"a\":1}", 0), "{\"a\":2}").await;
    assert!(block.contains("signature WRONG: the signature does not fit"), "{block}");
    let (_, block) = listening.post(&signed("{}", 301), "{}").await;
    assert!(block.contains("signature WRONG: the signature's timestamp"), "{block}");
    let (_, block) = listening.post("", "{}").await;
    assert!(block.contains("signature WRONG: a signature is required"), "{block}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_rotated_the_old_one_is_verified_by_one_of_the_forms() {
    let (old, new) = (Secret::parse(SECRET).unwrap(), Secret::from_random([7; 32]));
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let signed = |items: &str| {
        let hub = sign_hub(&new, b"{}");
        format!(
            "webhook-id: e1\r\nwebhook-timestamp: {now}\r\nwebhook-signature: {items}\r\nx-hub-signature-256: {hub}\r\n"
        )
    };
    let [by_old, by_new] = [&old, &new].map(|secret| sign_v1(secret, "e1", now, b"{}"));
    let both = signed(&format!("{by_new} {by_old}"));
    for (secret, headers, says) in [
        (&old, &both, "verified by webhook-signature alone"),
        (&new, &both, "verified"),
        (&old, &signed(&by_new), "WRONG: the signature does not fit"),
        (&old, &signed(&by_old), "WRONG: the signature does not fit"),
    ] {
        let (_, block) = listen(&["--secret", secret.reveal()]).await.post(headers, "{}").await;
        assert!(block.contains(&format!("signature {says}")), "{says}: {block}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_requests_of_each_event_fail_on_demand() {
    let listening = listen(&["--fail-first", "2", "--status", "202"]).await;
    for (id, expected) in [("a", "500"), ("a", "500"), ("b", "500"), ("a", "202"), ("b", "500"), ("b", "202")] {
        let (status, block) = listening.post(&format!("webhook-id: {id}\r\n"), "{}").await;
        assert!(status.contains(expected), "{id}: {status}");
        assert!(block.contains("signature not checked") && block.contains(&format!("-> {expected}")), "{block}");
    }
}
