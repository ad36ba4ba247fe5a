//! What a command says when it fails: the reason as PostgreSQL or the system gives it, what to
//! do about it, and no secret.

use std::net::TcpListener;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::process::program;

/// What a command that has to fail wrote to standard error, and to standard output.
async fn failing(command: &str, url: &str, settings: &[(&str, &str)]) -> (String, String) {
    let done = program(command, url).envs(settings.iter().copied()).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(!done.status.success(), "{command} did not fail");
    let (said, printed) = (text(done.stderr), text(done.stdout));
    assert!(!said.contains("hunter2") && !printed.contains("hunter2"), "{said}{printed}");
    (said, printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_described_by_postgresql_or_the_system() {
    let database = Database::new().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed_port = format!("postgres://postgres:hunter2@{free}/postrider");
    let unknown_host = "postgres://postgres:hunter2@nowhere.invalid/postrider";
    let no_role = database.url().replacen("//postgres@", "//nobody_of_this_name:hunter2@", 1);
    let no_database = format!("{}_not", database.url());
    let cases = [
        (closed_port.as_str(), "Connection refused"),
        (unknown_host, "lookup"),
        (&no_role, "role \"nobody_of_this_name\" does not exist (28000)"),
        (&no_database, "does not exist (3D000)"),
    ];
    for (url, reason) in cases {
        for command in ["migrate", "keys list"] {
            let (said, printed) = failing(command, url, &[]).await;
            assert!(said.contains(reason), "{command} {url}: {said}");
            assert!(printed.is_empty(), "{command} {url}: {printed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_schema_must_be_migrated() {
    let database = Database::empty().await;
    let unmigrated = [("POSTRIDER_MIGRATE", "false")];
    for command in ["keys list", "keys create --tenant acme", "serve"] {
        let (said, printed) = failing(command, &database.url(), &unmigrated).await;
        assert!(said.contains("postrider migrate"), "{command}: {said}");
        assert!(printed.is_empty(), "{command}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migration_reports_a_role_that_may_not_create_tables() {
    let database = Database::empty().await;
    let admin = database.client().await;
    let role = format!("poor_{}", uuid::Uuid::new_v4().simple());
    admin.batch_execute(&format!("create role {role} login")).await.unwrap();
    let (said, _) = failing("migrate", &database.url().replacen("//postgres@", &format!("//{role}@"), 1), &[]).await;
    admin.batch_execute(&format!("drop role {role}")).await.unwrap();
    assert!(said.contains("permission denied for schema public (42501)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_what_chooses_another() {
    let database = Database::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (said, _) = failing(&format!("listen --port {}", taken.local_addr().unwrap().port()), "", &[]).await;
    assert!(said.contains(&address) && said.contains("--port"), "{said}");
    let ports = [("POSTRIDER_LISTEN", address.as_str()), ("POSTRIDER_OPS_LISTEN", "127.0.0.1:0")];
    let (said, _) = failing("serve", &database.url(), &ports).await;
    assert!(said.contains("POSTRIDER_LISTEN") && said.contains(&address), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_says_that_it_runs_only_when_it_has_its_ports() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut dev = program("dev", "");
    dev.current_dir(&folder.0).env("PATH", "/usr/bin:/bin").env("POSTRIDER_OPS_LISTEN", "127.0.0.1:0");
    let done = dev.env("POSTRIDER_LISTEN", &address).output().await.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && done.stdout.is_empty(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(said.contains("POSTRIDER_LISTEN") && said.contains(&address), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_dotenv_that_cannot_be_read_is_named_by_its_number_alone() {
    let folder = Folder::new();
    std::fs::write(folder.0.join(".env"), "# settings\nPOSTRIDER_LOG=info\nPASSWORD hunter2\n").unwrap();
    let mut openapi = program("openapi", "");
    let done = openapi.current_dir(&folder.0).output().await.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && said.contains(".env: line 3 ") && !said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_waits_for_its_database_says_so_once() {
    let folder = Folder::new();
    let log = folder.0.join("log");
    let database = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://postgres:hunter2@{}/postrider", database.local_addr().unwrap());
    let mut waiting = program("serve", &url);
    waiting.env("POSTRIDER_AUTH", "keys").env("POSTRIDER_LOG", "warn");
    waiting.stderr(std::fs::File::create(&log).unwrap()).kill_on_drop(true);
    let _waiting = waiting.spawn().unwrap();
    for _ in 0..4 {
        // Each attempt is let in and turned away.
        drop(database.accept().await.unwrap());
    }
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("for the database") && !said.contains("hunter2"), "{said}");
}
