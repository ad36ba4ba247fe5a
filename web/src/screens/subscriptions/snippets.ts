// A small receiver in six languages, which verifies with the Standard Webhooks library of its language.
interface Snippet {
  name: string
  install: string
  code: string
}

/** `raw`: the secret is a text of its own, not `whsec_` and base64. */
export const snippets = (raw: boolean): Snippet[] => [
  {
    name: 'Node',
    install: 'npm install standardwebhooks',
    code: `import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'

const webhook = new Webhook(process.env.WEBHOOK_SECRET${raw ? ", { format: 'raw' }" : ''})

createServer(async (request, response) => {
  const parts = []
  for await (const part of request) parts.push(part)
  try {
    // The bytes as they came, not parsed and written again.
    const event = webhook.verify(Buffer.concat(parts), request.headers)
    response.writeHead(204).end()
    console.log(request.headers['webhook-id'], event)
  } catch {
    response.writeHead(401).end()
  }
}).listen(9100, '127.0.0.1')`,
  },
  {
    name: 'Python',
    install: 'pip install flask standardwebhooks',
    code: `import os

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

app = Flask(__name__)
webhook = Webhook(os.environ["WEBHOOK_SECRET"]${raw ? '.encode()' : ''})


@app.post("/")
def receive():
    try:
        # The bytes as they came, not parsed and written again.
        event = webhook.verify(request.get_data(), dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return "", 401
    print(request.headers["webhook-id"], event)
    return "", 204`,
  },
  {
    name: 'Go',
    install: 'go get github.com/standard-webhooks/standard-webhooks/libraries',
    code: `package main

import (
	"io"
	"log"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	webhook, err := standardwebhooks.${raw ? 'NewWebhookRaw([]byte(os.Getenv("WEBHOOK_SECRET")))' : 'NewWebhook(os.Getenv("WEBHOOK_SECRET"))'}
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// The bytes as they came, not parsed and written again.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || webhook.Verify(body, r.Header) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		log.Println(r.Header.Get("webhook-id"), string(body))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:9100", nil))
}`,
  },
  {
    name: 'Ruby',
    install: 'gem install rack puma standardwebhooks',
    code: `# config.ru
require "standardwebhooks"

WEBHOOK = StandardWebhooks::Webhook.new(${raw ? '[ENV.fetch("WEBHOOK_SECRET")].pack("m0")' : 'ENV.fetch("WEBHOOK_SECRET")'})

run(lambda do |env|
  # The bytes as they came, not parsed and written again.
  body = env["rack.input"].read.to_s.force_encoding(Encoding::UTF_8)
  headers = %w[webhook-id webhook-timestamp webhook-signature].to_h do |name|
    [name, env["HTTP_#{name.upcase.tr("-", "_")}"]]
  end
  event = WEBHOOK.verify(body, headers)
  puts "#{headers["webhook-id"]} #{event}"
  [204, {}, []]
rescue StandardWebhooks::WebhookVerificationError
  [401, {}, []]
end)`,
  },
  {
    name: 'PHP',
    install: 'composer require standard-webhooks/standard-webhooks',
    code: `<?php
require __DIR__ . '/vendor/autoload.php';

use StandardWebhooks\\Exception\\WebhookVerificationException;
use StandardWebhooks\\Webhook;

$webhook = new Webhook(${raw ? "base64_encode(getenv('WEBHOOK_SECRET'))" : "getenv('WEBHOOK_SECRET')"});
// The bytes as they came, not parsed and written again.
$body = file_get_contents('php://input');
$headers = [];
foreach (['id', 'timestamp', 'signature'] as $name) {
    $headers["webhook-$name"] = $_SERVER['HTTP_WEBHOOK_' . strtoupper($name)] ?? null;
}
try {
    $event = $webhook->verify($body, $headers);
} catch (WebhookVerificationException) {
    http_response_code(401);
    exit;
}
http_response_code(204);
error_log($headers['webhook-id'] . ' ' . $body);`,
  },
  {
    name: 'Rust',
    install: 'cargo add standardwebhooks axum && cargo add tokio --features full',
    code: `use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, http::{HeaderMap, StatusCode}, routing::post};
use standardwebhooks::Webhook;

// The bytes as they came, not parsed and written again.
async fn receive(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    println!("{:?} {}", headers.get("webhook-id"), String::from_utf8_lossy(&body));
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("WEBHOOK_SECRET")?;
    let webhook = Arc::new(Webhook::${raw ? 'from_bytes(secret.into_bytes())' : 'new(&secret)'}?);
    let app = Router::new().route("/", post(receive)).with_state(webhook);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:9100").await?;
    Ok(axum::serve(listener, app).await?)
}`,
  },
]
