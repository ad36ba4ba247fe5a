//! A receiver: verifies each delivery, drops what it has seen, answers before it works.
//! `WEBHOOK_SECRET=whsec_… cargo run`

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use standardwebhooks::Webhook;
use tokio::sync::mpsc;

const MAX_BODY: usize = 1 << 20;

struct Receiver {
    webhook: Webhook,
    // In production both are one table of your database with a unique webhook_id: insert the
    // event there, answer, and let a worker read the table. Memory forgets at a restart.
    seen: Mutex<HashSet<String>>,
    inbox: mpsc::Sender<(String, String, Bytes)>,
}

// The body is taken as the bytes that came: never parse and write them again first.
async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let id = header("webhook-id");
    if let Err(error) = receiver.webhook.verify(&body, &headers) {
        println!("refused {id}: {error}");
        return StatusCode::UNAUTHORIZED;
    }
    let is_new = receiver.seen.lock().expect("no holder panics").insert(id.clone());
    if !is_new {
        println!("duplicate {id}");
    } else if receiver.inbox.send((id, header("x-event-type"), body)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let webhook = Webhook::new(&std::env::var("WEBHOOK_SECRET")?)?;
    let (inbox, mut events) = mpsc::channel::<(String, String, Bytes)>(1024);
    tokio::spawn(async move {
        while let Some((id, kind, body)) = events.recv().await {
            println!("accepted {id} {kind} {}", String::from_utf8_lossy(&body));
        }
    });
    let receiver = Arc::new(Receiver { webhook, seen: Mutex::default(), inbox });
    // The wildcard does not match the root.
    let app = Router::new().route("/", post(receive)).route("/{*any}", post(receive));
    let app = app.layer(DefaultBodyLimit::max(MAX_BODY)).with_state(receiver);
    let port = std::env::var("PORT").unwrap_or_else(|_| "9100".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on {port}");
    axum::serve(listener, app).await?;
    Ok(())
}
