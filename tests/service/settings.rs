//! Settings as an operator meets them: every mistake in one answer, nothing read otherwise than it was written.

use std::fs;

use tokio::process::Command;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::process::program;

/// The status, and what was printed on both outputs.
async fn said(command: &mut Command) -> (Option<i32>, String) {
    let done = command.output().await.unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(text).unwrap())
}

fn plain(command: &str) -> Command {
    let mut plain = Command::new(env!("CARGO_BIN_EXE_postrider"));
    plain.args(command.split_whitespace()).env_clear();
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_are_in_one_answer_and_no_secret_is() {
    let mut serve = plain("serve");
    serve.envs([
        ("POSTRIDER_LISTEN", "8000"),
        ("POSTRIDER_LEASE", "soon"),
        ("POSTRIDER_LOG", "loud"),
        ("POSTRIDER_MASTER_KEYS", "main:CANARY"),
        ("DATABASE_URL", "CANARY"),
        ("REDIS_URL", "http://:CANARY@host"),
    ]);
    let (status, text) = said(&mut serve).await;
    assert_eq!(status, Some(1));
    assert!(text.starts_with("postrider: 6 settings are invalid:\n"), "{text}");
    for line in [
        r#"  POSTRIDER_LISTEN: must be ADDRESS:PORT, as in 127.0.0.1:8000 (got "8000")"#,
        r#"  POSTRIDER_LEASE: must be a duration from 6s to 1h, as in 6s (got "soon")"#,
        "  POSTRIDER_LOG: must be",
        "  POSTRIDER_MASTER_KEYS: the key of entry 1 must be base64 of exactly 32 bytes; ",
        "  DATABASE_URL: ",
        "  REDIS_URL: must be redis://",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    assert!(!text.contains("CANARY"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dotenv_file_is_read_as_it_stands() {
    let (database, folder) = (Database::new().await, Folder::new());
    let role = format!("pa$word1_{}", uuid::Uuid::new_v4().simple());
    let admin = database.client().await;
    admin.batch_execute(&format!("create role \"{role}\" superuser login")).await.unwrap();
    let url = database.url().replacen("//postgres@", &format!("//{role}@"), 1);
    for file in [
        format!("\u{feff}DATABASE_URL={url}\r\nPOSTRIDER_LOG=warn\r\n"),
        format!("# mine\n\n  export DATABASE_URL = '{url}' # the database\nPOSTRIDER_LISTEN=\n"),
        format!("DATABASE_URL=\"{url}\""),
    ] {
        fs::write(folder.0.join(".env"), &file).unwrap();
        let (status, text) = said(plain("tenants list").current_dir(&folder.0)).await;
        assert_eq!(status, Some(0), "{file:?}: {text}");
    }
    admin.batch_execute(&format!("drop role \"{role}\"")).await.unwrap();
    fs::write(folder.0.join(".env"), "POSTRIDER_LOG=warn\nPOSTRIDER_MASTER_KEYS='CANARY\n").unwrap();
    let (status, text) = said(plain("openapi").current_dir(&folder.0)).await;
    assert_eq!(status, Some(1));
    assert!(text.contains(".env: line 2 cannot be read: a quote is not closed") && !text.contains("CANARY"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_value_counts_as_not_set() {
    let database = Database::new().await;
    let example = include_str!("../../.env.example");
    let names = example.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once('='));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let names: Vec<&str> = names.map(|(name, _)| name).filter(|name| is_name(name)).collect();
    assert!(names.len() > 40, "{names:?}");
    let mut blank = program("tenants list", "");
    blank.envs(names.iter().map(|name| (*name, "")));
    let (status, text) = said(&mut blank).await;
    assert!(status == Some(1) && text.contains("DATABASE_URL is not set"), "{text}");
    let (status, text) = said(blank.env("DATABASE_URL", database.url())).await;
    assert_eq!((status, text.contains("default")), (Some(0), true), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_setting_is_named_by_every_command_and_refused_where_the_operator_is_strict() {
    let database = Database::new().await;
    for command in ["migrate", "openapi", "keys list", "tenants list", "doctor", "settings"] {
        let misspelt = |strict| {
            let mut asked = program(command, &database.url());
            asked.env("POSTRIDER_LOG", "").env("POSTRIDER_MAX_INFLIGHT", "9").env("POSTRIDER_STRICT", strict);
            asked
        };
        let (_, text) = said(&mut misspelt("false")).await;
        assert!(
            text.contains("POSTRIDER_MAX_INFLIGHT") && text.contains("POSTRIDER_MAX_IN_FLIGHT?"),
            "{command}: {text}"
        );
        let (status, text) = said(&mut misspelt("true")).await;
        assert!(text.contains("POSTRIDER_MAX_IN_FLIGHT?"), "{command}: {text}");
        assert_eq!(status, Some(i32::from(command != "settings")), "{command}: {text}");
    }
    let (status, text) = said(program("openapi", "").env("POSTRIDER_STRICT", "true")).await;
    assert_eq!(status, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_explained_with_its_value_and_its_source() {
    let folder = Folder::new();
    fs::write(folder.0.join(".env"), "POSTRIDER_LEASE=30s\nPOSTRIDER_AUTH=off\n").unwrap();
    let explain = async |name: &str| {
        let mut asked = plain(&format!("settings {name} --listen 127.0.0.1:1"));
        asked.current_dir(&folder.0).env("POSTRIDER_AUTH", "keys").env("DATABASE_URL", "postgres://u:CANARY@h/d");
        said(&mut asked).await
    };
    let has = async |name: &str, value: &str, source: &str| {
        let (status, text) = explain(name).await;
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains(&format!("  value    {value}\n")), "{text}");
        assert!(text.lines().any(|line| line.starts_with("  from ") && line.contains(source)), "{text}");
    };
    has("POSTRIDER_LISTEN", "127.0.0.1:1", "flag").await;
    has("auth", "keys", "environment").await;
    has("lease", "30s", "/.env").await;
    has("POSTRIDER_REQUEST_TIMEOUT", "10s", "default").await;
    has("DATABASE_URL", "********", "environment").await;
    let (status, text) = explain("POSTRIDER_LEESE").await;
    assert!(status == Some(1) && text.contains("did you mean POSTRIDER_LEASE?"), "{text}");
    let all = said(plain("settings").env("DATABASE_URL", "postgres://u:CANARY@h/d")).await.1;
    assert!(all.contains("POSTRIDER_SHUTDOWN_GRACE = ") && all.contains("REDIS_URL = none  (default)"), "{all}");
    assert!(!all.contains("CANARY"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_of_a_command_is_about_that_command() {
    for command in ["serve", "keys create", "listen", "doctor"] {
        let (status, text) = said(&mut plain(&format!("{command} --help"))).await;
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("`postrider settings` explains") && text.lines().count() < 45, "{command}: {text}");
        assert!(!text.contains("--database-url"), "{command}: {text}");
        assert_eq!(text.contains("--server"), command == "keys create", "{command}: {text}");
    }
    let (_, text) = said(&mut plain("events list --help")).await;
    assert!(text.contains("--key-file <VALUE>  File that holds the API key"), "{text}");
    assert!(text.contains("Examples:\n  postrider events list") && !text.contains("--database-url"), "{text}");
    let mut without = plain("keys create");
    without.env("DATABASE_URL", "postgres://x").env("POSTRIDER_LISTEN", "127.0.0.1:1");
    let (status, text) = said(&mut without).await;
    assert!(
        status == Some(2) && text.contains("Usage: postrider keys create <--tenant <TENANT>|--operator>\n"),
        "{text}"
    );
    for blank in [["keys", "create", "--operator", "--name"], ["tenants", "update", "x", "--name"]] {
        let (status, text) = said(plain("").args(blank).arg(" ")).await;
        assert!(status == Some(2) && text.contains("not all of them blank"), "{text}");
    }
}
