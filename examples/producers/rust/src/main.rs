//! Publishes one event. Usage: POSTRIDER_KEY=prk_… publish EVENT-TYPE JSON IDEMPOTENCY-KEY

use std::env;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

const TRIES: u32 = 6;

fn setting(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

fn publish(event_type: &str, payload: &str, idempotency_key: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("{}/events", setting("POSTRIDER_API", "http://localhost:8000"));
    let key = format!("Bearer {}", setting("POSTRIDER_KEY", "none"));
    for attempt in 0..TRIES {
        let mut wait = Duration::from_millis(200 << attempt);
        let request = agent
            .post(&url)
            .header("authorization", &key)
            .header("content-type", "application/json")
            .header("x-event-type", event_type)
            .header("idempotency-key", idempotency_key);
        // Without a response the key makes it safe to repeat.
        if let Ok(mut response) = request.send(payload) {
            let status = response.status();
            let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            let body = response.body_mut().read_to_string().unwrap_or_default();
            if status.is_success() {
                return Ok(body);
            }
            // Below 500 the request is wrong, except 429: too many events in this second.
            if status.as_u16() < 500 && status.as_u16() != 429 {
                return Err(format!("{status}: {body}"));
            }
            wait = wait.max(Duration::from_secs(retry_after.unwrap_or(0)));
        }
        sleep(wait);
    }
    Err("postrider does not accept events; keep this one and publish it later with the same key".to_owned())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [event_type, payload, idempotency_key] = arguments.as_slice() else {
        eprintln!("usage: publish EVENT-TYPE JSON IDEMPOTENCY-KEY");
        return ExitCode::from(2);
    };
    match publish(event_type, payload, idempotency_key) {
        Ok(answer) => println!("{answer}"),
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
