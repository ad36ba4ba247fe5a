//! A log that cannot be written costs log lines and nothing else, and a command whose reader has gone ends quietly.

use std::fs::{self, File};
use std::io::{PipeReader, Read as _, pipe};
use std::process::Stdio;

use postrider::domain::keyring::Keyring;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start, program};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

/// A pipe that nobody reads any more.
fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

async fn start(database: &Database, settings: &[(&str, &str)], log: Stdio) -> Postrider {
    Start { settings, log_to: Some(log), ..Start::new("serve", database.url()) }.ready().await
}

async fn dropped(ops: &Http) -> u64 {
    let metrics = ops.get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("postrider_log_lines_dropped_total "));
    line.unwrap().parse().unwrap()
}

/// Every attempt fails, is logged, and is recorded; then SIGTERM ends the process as usual.
async fn works_and_stops(database: &Database, replica: Postrider) {
    let receiver = Receiver::new().await;
    receiver.usually(Reply::Status(500));
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    for _ in 0..20 {
        assert_eq!(http.post(&format!("/ingest/{subscription}"), "{}").await.status, 202);
    }
    let client = database.client().await;
    until("all outcomes are recorded", async || {
        let failed = "select count(*) from undelivered where status = 'failed'";
        (client.query_one(failed, &[]).await.unwrap().get::<_, i64>(0) == 20).then_some(())
    })
    .await;
    until("lost lines are counted", async || (dropped(&replica.ops()).await > 0).then_some(())).await;
    assert_eq!(replica.ops().get("/readyz").await.status, 200);
    replica.terminate();
    assert!(replica.ended().await.success());
}

const CHATTY: [(&str, &str); 2] = [("POSTRIDER_LOG", "trace"), ("POSTRIDER_RETRY_SCHEDULE", "none")];

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_log_has_no_reader_from_the_start_works_and_stops_as_usual() {
    let database = Database::new().await;
    let replica = start(&database, &CHATTY, closed_pipe()).await;
    works_and_stops(&database, replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_log_loses_its_reader_works_and_stops_as_usual() {
    let database = Database::new().await;
    let (reader, writer) = pipe().unwrap();
    let replica = start(&database, &CHATTY, writer.into()).await;
    assert_eq!(dropped(&replica.ops()).await, 0);
    drop(reader);
    works_and_stops(&database, replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_log_is_on_a_full_disk_starts_works_and_stops_as_usual() {
    let database = Database::empty().await;
    let json = [CHATTY.as_slice(), &[("POSTRIDER_LOG_FORMAT", "json")]].concat();
    let replica = start(&database, &json, full_disk()).await;
    works_and_stops(&database, replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_log_nobody_reads_works_and_stops_as_usual_and_says_what_was_lost() {
    let database = Database::new().await;
    let (mut reader, writer): (PipeReader, _) = pipe().unwrap();
    let replica = start(&database, &CHATTY, writer.into()).await;
    let http = replica.http();
    // More than the pipe's 64 KiB and the memory of a MiB hold.
    until("the log is full", async || {
        for _ in 0..50 {
            http.get("/subscriptions/").await;
        }
        (dropped(&replica.ops()).await > 0).then_some(())
    })
    .await;
    works_and_stops(&database, replica).await;

    let replica = start(&database, &CHATTY, pipe_of(&mut reader)).await;
    let reading = tokio::task::spawn_blocking(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).map(|_| log)
    });
    replica.terminate();
    assert!(replica.ended().await.success());
    assert!(reading.await.unwrap().unwrap().contains("stopped"), "a log that is read is complete to its last line");
}

/// A new pipe in place of this one.
fn pipe_of(reader: &mut PipeReader) -> Stdio {
    let (new, writer) = pipe().unwrap();
    *reader = new;
    writer.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_reader_has_gone_ends_quietly() {
    let database = Database::new().await;
    for command in [
        "migrate",
        "openapi",
        "settings",
        "settings listen",
        "keys list",
        "keys create --operator",
        "tenants list",
        "tenants create Acme",
        "listen --port 0",
        "--help",
        "keys create --help",
        "--version",
    ] {
        assert_eq!(run(&database, command, closed_pipe(), Stdio::piped()).await, (Some(0), String::new()), "{command}");
    }
    // The tests' server runs without fsync: the status says what was found, whoever reads.
    assert_eq!(run(&database, "doctor", closed_pipe(), Stdio::piped()).await, (Some(1), String::new()));
}

/// The status, and what was said on standard error if that is a pipe of ours.
async fn run(database: &Database, command: &str, out: Stdio, err: Stdio) -> (Option<i32>, String) {
    let child = program(command, &database.url()).stdout(out).stderr(err).spawn().unwrap();
    let done = child.wait_with_output().await.unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_print_says_so_and_one_that_cannot_even_say_so_ends() {
    let database = Database::new().await;
    for command in ["migrate", "openapi", "settings", "keys list", "tenants list", "doctor", "--help"] {
        let (status, said) = run(&database, command, full_disk(), Stdio::piped()).await;
        assert_eq!(status, Some(1), "{command}");
        assert!(said.starts_with("postrider: cannot write to standard output: No space left"), "{command}: {said}");
        let (status, _) = run(&database, command, full_disk(), full_disk()).await;
        assert_eq!(status, Some(1), "{command}");
    }
    assert_eq!(run(&database, "nothing", Stdio::null(), closed_pipe()).await.0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_log_level_again_and_ends_no_replica() {
    let (database, folder) = (Database::new().await, Folder::new());
    let (dotenv, log) = (folder.0.join(".env"), folder.0.join("log"));
    fs::write(&dotenv, "POSTRIDER_LOG=warn\n").unwrap();
    // A blank variable counts as not set.
    let settings = [("POSTRIDER_LOG", "")];
    let replica = Start {
        settings: &settings,
        folder: Some(&folder.0),
        log: Some(log.clone()),
        ..Start::new("serve", database.url())
    };
    let replica = replica.ready().await;
    let said = || fs::read_to_string(&log).unwrap();
    fs::write(&dotenv, "POSTRIDER_LOG=info,postrider::api=debug\n").unwrap();
    replica.hang_up();
    until("the filter is in force", async || {
        replica.http().get("/subscriptions/").await;
        said().contains("answered").then_some(())
    })
    .await;
    assert!(said().contains("SIGHUP: POSTRIDER_LOG was read again"), "{}", said());
    fs::write(&dotenv, "POSTRIDER_LOG=loud\n").unwrap();
    replica.hang_up();
    until("the mistake is named", async || said().contains("the log level stays as it is").then_some(())).await;
    assert_eq!(replica.ops().get("/readyz").await.status, 200);
    replica.terminate();
    assert!(replica.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_no_master_key_opens_is_named_at_the_start_of_every_command() {
    let database = Database::new().await;
    let api = Start::new("api", database.url()).ready().await;
    api.http().subscribe("http://127.0.0.1:9100/").await;
    drop(api);
    for keys in [Keyring::entry("other", [8; 32]), Keyring::entry("test", [8; 32])] {
        for command in ["migrate", "keys list", "tenants list"] {
            let asked = |strict: &'static str| {
                let mut program = program(command, &database.url());
                program.env("POSTRIDER_MASTER_KEYS", &keys).env("POSTRIDER_STRICT", strict).env("POSTRIDER_LOG", "");
                program.output()
            };
            let (lax, strict) = (asked("false").await.unwrap(), asked("true").await.unwrap());
            let said = String::from_utf8(lax.stderr).unwrap();
            assert!(lax.status.success() && said.contains("1 with 'test'"), "{command}: {said}");
            let said = String::from_utf8(strict.stderr).unwrap();
            assert_eq!(strict.status.code(), Some(1), "{command}");
            assert!(said.contains("POSTRIDER_STRICT: ") && said.contains("1 with 'test'"), "{command}: {said}");
        }
    }
    let mut serve = program("serve", &database.url());
    serve.env("POSTRIDER_MASTER_KEYS", Keyring::entry("other", [8; 32])).env("POSTRIDER_STRICT", "true");
    let refused = serve.output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("missing from POSTRIDER_MASTER_KEYS: 1 with 'test'"));
}
