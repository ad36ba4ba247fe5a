//! Many events from a file of lines, in requests of `POST /events/batch`. Each event is accepted or refused by itself.

use std::io::{BufRead, BufReader, IsTerminal as _, Read, stdin};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::Remote;
use super::super::client::Call;
use super::super::list::Form;
use super::super::printable::{printable, shown};
use super::super::refusal::{REFUSED, TRY_AGAIN, is_temporary};
use super::{MAX_BYTES, open};
use crate::commands::Failure;

/// The API's own limit.
const MAX_EVENTS: usize = 1_000;
/// Half of what a service accepts unless it is set otherwise. A larger line goes alone.
const MAX_BATCH_BYTES: usize = 4 << 20;

#[derive(Deserialize)]
struct Results {
    data: Vec<Box<RawValue>>,
}

/// What came of the lines so far.
#[derive(Default)]
struct Sums {
    accepted: u64,
    refused: u64,
    /// Of those that were refused: whether one would be refused again.
    is_final: bool,
}

/// Lines that go together, and the number of the first.
#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    lines: Vec<u64>,
}

impl Batch {
    fn add(&mut self, line: &[u8], number: u64) {
        self.body.extend_from_slice(if self.lines.is_empty() { br#"{"events":["# } else { b"," });
        self.body.extend_from_slice(line);
        self.lines.push(number);
    }

    fn has_room_for(&self, line: &[u8]) -> bool {
        self.lines.is_empty() || (self.lines.len() < MAX_EVENTS && self.body.len() + line.len() < MAX_BATCH_BYTES)
    }
}

pub(super) async fn publish(remote: &Remote, file: &str, form: Form) -> Result<(), Failure> {
    let source: Box<dyn Read + Send> = match file {
        "-" => {
            if stdin().is_terminal() {
                remote.note("reading events from standard input, one on each line; ctrl-d ends it");
            }
            Box::new(stdin())
        }
        path => Box::new(open(path)?),
    };
    let (mut lines, mut number) = (BufReader::new(source), 0);
    let (mut batch, mut sums) = (Batch::default(), Sums::default());
    while let Some(line) = next_line(&mut lines, &mut number)? {
        // A broken line would spoil its neighbours.
        if let Err(error) = serde_json::from_slice::<&RawValue>(&line) {
            send(remote, std::mem::take(&mut batch), &mut sums, form).await?;
            let sentence = format!("line {number} is not JSON: {error}; accepted before it: {}", sums.accepted);
            return Err(Failure::new(sentence));
        }
        if !batch.has_room_for(&line) {
            send(remote, std::mem::take(&mut batch), &mut sums, form).await?;
        }
        batch.add(&line, number);
    }
    send(remote, batch, &mut sums, form).await?;
    remote.note(&format!("{} accepted, {} refused", sums.accepted, sums.refused));
    if sums.refused == 0 {
        return Ok(());
    }
    let code = if sums.is_final { REFUSED } else { TRY_AGAIN };
    Err(Failure::WithCode { code, sentence: "not every event was accepted".to_owned() })
}

/// Blank lines are passed over.
fn next_line(lines: &mut impl BufRead, number: &mut u64) -> Result<Option<Vec<u8>>, Failure> {
    loop {
        let mut line = Vec::new();
        let read = lines.take(MAX_BYTES + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        *number += 1;
        if u64::try_from(read).is_ok_and(|read| read > MAX_BYTES) {
            return Err(Failure::new(format!("line {number} has more than {MAX_BYTES} bytes")));
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            return Ok(Some(text.to_vec()));
        }
    }
}

async fn send(remote: &Remote, batch: Batch, sums: &mut Sums, form: Form) -> Result<(), Failure> {
    let Batch { mut body, lines } = batch;
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
    body.extend_from_slice(b"]}");
    let answer = remote.client.send(Call::post(&["events", "batch"]).body(Bytes::from(body))).await;
    let answer = answer.map_err(|error| Failure::WithCode {
        code: error.code(),
        sentence: format!("lines {first} to {last}: {error}\n  accepted before them: {}", sums.accepted),
    })?;
    let results: Results = answer.json()?;
    for (number, result) in lines.iter().zip(&results.data) {
        let said: Value = serde_json::from_str(result.get()).unwrap_or_default();
        let status = said.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        let status = status.and_then(|status| hyper::StatusCode::from_u16(status).ok()).unwrap_or_default();
        if status.is_success() {
            sums.accepted += 1
        } else {
            sums.refused += 1
        }
        if !status.is_success() {
            sums.is_final |= !is_temporary(status);
        }
        if form.json {
            remote.print_json(result.get())?;
        } else {
            remote.print(result_line(*number, &said))?;
        }
    }
    Ok(())
}

fn result_line(number: u64, said: &Value) -> String {
    let field = |name: &str| said.get(name).map(shown).unwrap_or_default();
    match said.get("problem") {
        None => format!(
            "line {number}: {}{}",
            field("webhook_id"),
            if said.get("duplicate") == Some(&Value::Bool(true)) { "  duplicate" } else { "" }
        ),
        Some(problem) => {
            let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
            let mut line = format!(
                "line {number}: {} {}: {}",
                field("status"),
                printable(text("code")),
                printable(text("detail"))
            );
            for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
                line.push_str(&format!("\n  {}: {}", printable(text("pointer")), printable(text("detail"))));
            }
            line
        }
    }
}
