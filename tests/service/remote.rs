//! Commands that talk to a server, against a postrider that runs.

use serde_json::{Value, json};

use crate::support::commands::Shell;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::process::{Postrider, Start, program};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

/// A replica, and a shell with its address.
struct Server {
    database: Database,
    replica: Postrider,
    shell: Shell,
}

impl Server {
    /// Without keys.
    async fn open() -> Self {
        Self::start("off").await
    }

    /// With keys.
    async fn locked() -> Self {
        Self::start("keys").await
    }

    async fn start(auth: &str) -> Self {
        let database = Database::new().await;
        let settings = [("POSTRIDER_AUTH", auth), ("POSTRIDER_RETRY_SCHEDULE", "none")];
        let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
        let shell = Shell::of(&format!("http://{}", replica.address()));
        Self { database, replica, shell }
    }

    /// A key made over the database; the last line of what is printed.
    async fn key(&self, of: &str) -> String {
        let made = program(&format!("keys create {of}"), &self.database.url()).output().await.unwrap();
        String::from_utf8(made.stdout).unwrap().lines().last().unwrap().to_owned()
    }

    /// Whether the document of the API has this path.
    async fn knows(&self, path: &str) -> bool {
        let document = self.replica.http().get("/openapi.json").await.json();
        let paths = document["paths"].as_object().unwrap();
        paths.keys().any(|known| known.trim_end_matches('/') == path)
    }
}

fn id_of(published: &str) -> String {
    published.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_comes_from_an_argument_a_file_or_standard_input_and_arrives_byte_for_byte() {
    let (server, receiver, folder) = (Server::open().await, Receiver::new().await, Folder::new());
    let shell = &server.shell;
    shell.run(&format!("subscriptions create {} --type order.*", receiver.url())).await.done();
    let text = "{ \"id\": 1.0, \"a\" : \"Zo\u{eb}\" }";
    let file = folder.0.join("payload");
    std::fs::write(&file, text).unwrap();
    let from_file = format!("publish --type order.paid @{}", file.display());
    for said in [
        shell.run_each(&["publish", "--type", "order.paid", text]).await,
        shell.run(&from_file).await,
        shell.run_with_input("publish --type order.paid -", text).await,
        shell.run_with_input("publish --type order.paid", text).await,
    ] {
        assert!(said.done().out.ends_with("  1 delivery\n"));
    }
    for arrived in receiver.arrived(4).await {
        assert_eq!(arrived.body, text.as_bytes());
        assert_eq!(arrived.header("x-event-type"), "order.paid");
    }
    let none = shell.run("publish @/nowhere/at-all").await;
    assert_eq!(none.code, Some(1));
    assert!(none.err.starts_with("postrider: cannot read /nowhere/at-all: No such file"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_is_repeated_with_its_key_is_the_same_event() {
    let server = Server::open().await;
    let publish = "publish --type order.paid --idempotency-key order-1 {\"id\":1}";
    let (first, again) = (server.shell.run(publish).await.done(), server.shell.run(publish).await.done());
    assert_eq!(id_of(&first.out), id_of(&again.out));
    assert!(again.out.contains("duplicate"), "{again:?}");
    let other = server.shell.run("publish --type order.paid --idempotency-key order-1 {\"id\":2}").await;
    assert_eq!(other.code, Some(1));
    assert!(other.err.starts_with("postrider: 409 idempotency_key_reused: "), "{other:?}");
    let json = server.shell.run(&format!("{publish} --json")).await.done().json_lines();
    assert_eq!(
        (json.len(), &json[0]["duplicate"], &json[0]["webhook_id"]),
        (1, &json!(true), &json!(id_of(&first.out)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_published_for_a_time_an_order_and_one_subscription() {
    let (server, receiver) = (Server::open().await, Receiver::new().await);
    let create = format!("subscriptions create {} --external-id one", receiver.url());
    server.shell.run(&create).await.done();
    server.shell.run(&format!("subscriptions create {}", receiver.url())).await.done();
    let later = server.shell.run("publish {} --subscription one --deliver-at 10m --expires-at 1h").await.done();
    let shown =
        server.shell.run(&format!("events show {} --json", id_of(&later.out))).await.done().json_lines().remove(0);
    assert_eq!(shown["fan_out"], false);
    assert_eq!(shown["counts"]["pending"], 1);
    let ordered = server.shell.run("publish {} --ordering-key a --deliver-at 10m").await;
    assert!(ordered.code == Some(1) && ordered.err.contains("/query/deliver_at: "), "{ordered:?}");
    let never = server.shell.run("publish {} --deliver-at soon").await;
    assert!(never.code == Some(2) && never.err.contains("must be a time as in 2026-"), "{never:?}");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_batch_are_accepted_or_refused_one_by_one() {
    let server = Server::open().await;
    let line = |number: u32| format!("{{\"event_type\": \"order.paid\", \"payload\": {{\"id\": {number}}}}}");
    let lines: Vec<String> = (0..1_001).map(line).collect();
    let many = server.shell.run_with_input("publish --batch -", &lines.join("\n")).await.done();
    assert_eq!(many.out.lines().count(), 1_001, "more than one request takes");
    assert!(many.err.contains("1001 accepted, 0 refused"), "{}", many.err);

    let mixed = format!("{}\n\n{{\"event_type\": \"order.paid\"}}\n", line(1));
    let mixed = server.shell.run_with_input("publish --batch -", &mixed).await;
    assert_eq!(mixed.code, Some(1));
    assert!(mixed.out.starts_with("line 1: 0"), "{mixed:?}");
    assert!(mixed.out.contains("line 3: 422 validation_failed: "), "{mixed:?}");
    assert!(mixed.out.contains("/payload: must be given"), "{mixed:?}");

    let broken = format!("{}\n{{\"event_type\"\n{}\n", line(1), line(2));
    let broken = server.shell.run_with_input("publish --batch - --json", &broken).await;
    assert_eq!(broken.code, Some(1));
    assert!(broken.err.contains("line 2 is not JSON") && broken.err.contains("accepted before it: 1"), "{broken:?}");
    assert_eq!(broken.json_lines()[0]["status"], 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_shown_with_who_got_it_and_who_did_not_and_can_be_retried_and_cancelled() {
    let (server, receiver) = (Server::open().await, Receiver::new().await);
    let shell = &server.shell;
    receiver.script([Reply::Status(500)]);
    shell.run(&format!("subscriptions create {} --external-id orders --type order.*", receiver.url())).await.done();
    shell.run(&format!("subscriptions create {} --external-id invoices --type invoice.*", receiver.url())).await.done();
    let event = id_of(&shell.run("publish --type order.paid {\"id\":1}").await.done().out);
    let shown = until("the delivery failed", async || {
        let shown = shell.run(&format!("events show {event}")).await.done().out;
        shown.contains("http_5xx: the receiver answered 500").then_some(shown)
    })
    .await;
    assert!(
        shown.starts_with(&format!("webhook_id       {event}\nevent_type       order.paid\nstatus           failed\n")),
        "{shown}"
    );
    assert!(shown.contains("NOT DELIVERED TO") && shown.contains("  event_type"), "{shown}");

    let listed = shell.run(&format!("deliveries list --event {event}")).await;
    assert!(listed.rows().len() == 1 && listed.out.contains(" failed "), "{listed:?}");
    let rows = shell.run(&format!("deliveries list --event {event} --json")).await.done().json_lines();
    assert_eq!((rows.len(), &rows[0]["status"]), (1, &json!("failed")));

    let retried = shell.run(&format!("events retry {event}")).await.done();
    assert_eq!(retried.out, "1 delivery retried\n");
    receiver.arrived(2).await;
    let none = shell.run(&format!("events cancel {event} --json")).await.done().json_lines();
    assert_eq!(none[0]["webhook_id"], json!(event));
    let unknown = shell.run("events retry 0199c5f0-0000-7000-8000-00000000dead").await;
    assert_eq!(unknown.code, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_created_changed_disabled_rotated_and_deleted() {
    let (server, receiver) = (Server::open().await, Receiver::new().await);
    let shell = &server.shell;
    let create = format!(
        "subscriptions create {} --external-id acme-orders --type order.* --set rate_limit=50 --json",
        receiver.url()
    );
    let made = shell.run(&create).await.done().json_lines().remove(0);
    assert!(made["secret_key"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!((&made["rate_limit"], &made["event_types"]), (&json!(50), &json!(["order.*"])));

    let changed = [
        "subscriptions",
        "update",
        "acme-orders",
        "--description",
        "paid orders",
        "--set",
        "rate_limit=null",
        "--json",
    ];
    let changed = shell.run_each(&changed).await.done().json_lines().remove(0);
    assert_eq!((&changed["description"], &changed["rate_limit"]), (&json!("paid orders"), &Value::Null));
    assert_eq!(changed["event_types"], made["event_types"], "what is not given stays");

    shell.run("subscriptions disable acme-orders").await.done();
    let listed = shell.run("subscriptions list").await;
    let rows = listed.rows();
    let id = made["id"].as_str().unwrap();
    assert!(rows.len() == 1 && rows[0].starts_with(&format!("{id}  disabled ")), "{rows:?}");
    assert!(rows[0].contains("  acme-orders  order.*  http://127.0.0.1:"), "{rows:?}");
    shell.run("subscriptions enable acme-orders").await.done();

    let rotated = shell.run("subscriptions rotate acme-orders --overlap 1h").await.done();
    let shown = shell.run("subscriptions show acme-orders").await.done();
    let secret = |text: &str| text.lines().find(|line| line.starts_with("secret_key ")).unwrap().to_owned();
    assert!(secret(&rotated.out).contains("whsec_") && secret(&shown.out).ends_with("********"));
    assert!(!secret(&rotated.out).contains(made["secret_key"].as_str().unwrap()));

    let deleted = shell.run("subscriptions delete acme-orders").await.done();
    assert!(deleted.out.contains("subscription deleted"), "{deleted:?}");
    let gone = shell.run("subscriptions show acme-orders").await;
    assert_eq!(gone.code, Some(4));
    assert!(gone.err.starts_with("postrider: 404 subscription_not_found: "), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_follows_cursors_to_its_limit_and_says_whether_there_is_more() {
    let server = Server::open().await;
    let http = server.replica.http();
    for _ in 0..103 {
        http.subscribe("http://127.0.0.1:9100/").await;
    }
    let usual = server.shell.run("subscriptions list").await;
    assert_eq!(usual.rows().len(), 50);
    assert!(usual.err.contains("there are more: --limit N or --all shows them"), "{}", usual.err);
    assert_eq!(server.shell.run("subscriptions list --limit 102").await.rows().len(), 102);
    let all = server.shell.run("subscriptions list --all --json").await.done();
    let mut ids: Vec<String> = all.json_lines().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all.err.as_str()), (103, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_and_keys_are_managed_over_a_server_where_one_is_named_and_else_over_the_database() {
    let server = Server::locked().await;
    let operator = server.shell.with("POSTRIDER_KEY", &server.key("--operator").await);
    let created = operator
        .run_each(&["tenants", "create", "Acme Ltd", "--external-id", "acme", "--max-subscriptions", "7"])
        .await
        .done();
    let id = created.out.lines().last().unwrap().to_owned();
    // Keys and tenants belong to no tenant: the header would be refused.
    let operator = operator.with("POSTRIDER_TENANT", "acme");
    let listed = operator.run("tenants list --q ltd").await;
    assert!(
        listed.rows().len() == 1 && listed.rows()[0].starts_with(&id) && listed.out.contains("  acme         Acme Ltd")
    );
    let changed = operator.run("tenants update acme --publish-per-second 5 --metadata plan=pro --json").await.done();
    let changed = changed.json_lines().remove(0);
    assert_eq!(changed["limits"], json!({ "max_subscriptions": 7, "publish_per_second": 5 }));
    assert_eq!((&changed["metadata"], &changed["name"]), (&json!({ "plan": "pro" }), &json!("Acme Ltd")));
    assert!(operator.run("tenants show acme").await.done().out.contains("\n  publish_per_second  5"));

    let made = operator.run("keys create --tenant acme --scope read --name ci --expires-in 1d").await.done();
    let (key, id) =
        (made.out.lines().last().unwrap(), made.out.split_whitespace().nth(2).unwrap().trim_end_matches(','));
    let reader = server.shell.with("POSTRIDER_KEY", key);
    reader.run("subscriptions list").await.done();
    let keys = operator.run("keys list --tenant acme").await;
    assert!(keys.rows().len() == 1 && keys.rows()[0].starts_with(&format!("{id}  read ")), "{keys:?}");
    operator.run(&format!("keys revoke {id}")).await.done();
    until("the key is refused", async || (reader.run("subscriptions list").await.code == Some(1)).then_some(())).await;

    let database = server.database.url();
    let both = ["--database-url", &database, "tenants", "list"];
    let nearer = operator.with("POSTRIDER_KEY", "wrong").run_each(&both).await.done();
    assert!(nearer.out.contains("external id") && nearer.out.contains("Acme Ltd"), "{nearer:?}");
    let json = operator.run_each(&[&both[..], &["--json"]].concat()).await;
    assert!(json.code == Some(2) && json.err.contains("--json needs a server"), "{json:?}");
    operator.run("tenants delete acme").await.done();
    assert_eq!(operator.run("tenants show acme").await.code, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_went_wrong_and_no_key_is_ever_shown() {
    let server = Server::locked().await;
    let key = server.key("--tenant acme --scope read").await;
    let (keyed, folder) = (server.shell.with("POSTRIDER_KEY", &key), Folder::new());
    let file = folder.0.join("key");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let file = file.display().to_string();

    let mut all = String::new();
    let mut check = async |shell: &Shell, line: &str, code: i32, says: &str| {
        let said = shell.run(line).await;
        assert_eq!(said.code, Some(code), "{line}: {said:?}");
        assert!(said.err.contains(says), "{line}: {said:?}");
        all.push_str(&said.out);
        all.push_str(&said.err);
    };
    let (wrong, away) = (server.shell.with("POSTRIDER_KEY", "prk_CANARY"), Shell::of("http://127.0.0.1:9"));
    check(&keyed, "subscriptions list", 0, "").await;
    check(&server.shell, &format!("subscriptions list --key-file {file}"), 0, "").await;
    check(&server.shell, &format!("--key {key} subscriptions list"), 0, "").await;
    check(&server.shell, "subscriptions list", 1, "401 unauthenticated: ").await;
    check(&wrong, "subscriptions list", 1, "a key goes into POSTRIDER_KEY, POSTRIDER_KEY_FILE or --key-file").await;
    check(&keyed, "publish {}", 1, "403 scope_missing: ").await;
    check(&keyed, "subscriptions list --tenant nobody", 4, "404 tenant_not_found: ").await;
    check(&keyed, "subscriptions show nothing", 4, "404 subscription_not_found: ").await;
    check(&keyed, "events show not-an-id", 1, "/path/webhook_id: ").await;
    check(&keyed, "events show ..", 2, "\"..\" is no id").await;
    check(&keyed, "replay create", 2, "give at least one filter").await;
    check(&keyed, "subscriptions list --limit 0", 2, "--limit").await;
    check(&keyed, "subscriptions list --server ftp://x", 2, "POSTRIDER_SERVER: must be an http or https URL").await;
    check(&keyed, "subscriptions list --server http://a:b@127.0.0.1", 2, "must have no user, password").await;
    check(
        &away.with("POSTRIDER_KEY", "prk_CANARY"),
        "subscriptions list",
        3,
        "cannot reach http://127.0.0.1:9: Connection refused",
    )
    .await;
    check(&keyed, &format!("subscriptions list --key-file {file}x"), 2, "POSTRIDER_KEY_FILE names").await;
    let secret = key.splitn(3, '_').nth(2).unwrap();
    assert!(!all.contains("CANARY") && !all.contains(secret), "{all}");

    let refused = keyed.run("subscriptions show nothing").await.err;
    let id = refused.lines().find_map(|line| line.strip_prefix("  request ")).unwrap();
    assert_eq!(id.len(), 36, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_found_looked_at_and_sent_again() {
    let (server, receiver) = (Server::open().await, Receiver::new().await);
    for path in ["/deliveries", "/attempts", "/attempts/{attempt_id}"] {
        if !server.knows(path).await {
            return;
        }
    }
    let shell = &server.shell;
    receiver.script([Reply::Status(503), Reply::Status(500)]);
    shell.run(&format!("subscriptions create {} --external-id acme", receiver.url())).await.done();
    for number in [1, 2] {
        let publish = format!("publish --type order.paid --idempotency-key k{number} {{\"id\":{number}}}");
        shell.run(&publish).await.done();
    }
    let failed = "deliveries list --subscription acme --status failed --since 1h --json";
    let rows = until("both failed", async || {
        let rows = shell.run(failed).await.done().json_lines();
        (rows.len() == 2).then_some(rows)
    })
    .await;
    let newest = rows[0]["webhook_id"].as_str().unwrap();
    let table = shell.run("deliveries list --status failed").await;
    assert!(table.rows()[0].starts_with(newest) && table.rows()[0].contains("  order.paid  acme"), "{table:?}");

    let found = shell.run("events list --idempotency-key k2").await;
    assert!(found.rows().len() == 1 && found.rows()[0].starts_with(&format!("{newest}  failed ")), "{found:?}");
    let payload = shell.run(&format!("events payload {newest}")).await.done();
    assert_eq!(payload.out, "{\"id\":2}");
    let attempts =
        shell.run(&format!("attempts list --event {newest} --status-code 5xx --json")).await.done().json_lines();
    assert_eq!(attempts.len(), 1);
    let shown = shell.run(&format!("attempts show {}", attempts[0]["id"].as_str().unwrap())).await.done();
    assert!(shown.out.contains("outcome") && shown.out.contains("http_5xx"), "{shown:?}");

    if server.knows("/deliveries/retry").await {
        let planned = shell.run("deliveries retry --status failed --dry-run").await.done();
        assert!(planned.out.ends_with("would retry 2 deliveries\n"), "{planned:?}");
        assert_eq!(receiver.count(), 2);
        let retried = shell.run("deliveries retry --status failed --yes").await.done();
        assert!(retried.out.ends_with("2 deliveries retried\n"), "{retried:?}");
        receiver.arrived(4).await;
        let replayed = shell.run("replay create --status succeeded --subscription acme --yes").await.done();
        assert!(replayed.out.contains("finished"), "{replayed:?}");
        receiver.arrived(6).await;
        let replays = shell.run("replay list --json").await.done().json_lines();
        assert_eq!(replays.len(), 2, "a retry by filter is one too: {replays:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_tells_by_its_status_whether_the_receiver_takes_it() {
    let (server, receiver) = (Server::open().await, Receiver::new().await);
    if !server.knows("/subscriptions/{subscription_id}/test").await {
        return;
    }
    server.shell.run(&format!("subscriptions create {} --external-id acme", receiver.url())).await.done();
    server.shell.run("subscriptions test acme --type order.paid --payload {\"id\":1}").await.done();
    assert_eq!(receiver.arrived(1).await[0].body, "{\"id\":1}".as_bytes());
    receiver.script([Reply::Status(500)]);
    let refused = server.shell.run("subscriptions test acme").await;
    assert!(refused.code == Some(1) && refused.err.contains("the receiver did not take it"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_what_happens_as_it_happens() {
    let (server, receiver) = (Server::open().await, Receiver::new().await);
    if !server.knows("/stream").await {
        return;
    }
    server.shell.run(&format!("subscriptions create {} --external-id acme", receiver.url())).await.done();
    let mut tail = server.shell.command(&["tail", "--limit", "2", "--json", "--since", "2h", "--subscription", "acme"]);
    let tail = tail.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It may connect a moment later than this: so more is published until it has seen enough.
    let seen = tokio::spawn(tail.wait_with_output());
    let event = until("the tail has seen enough", async || {
        let published = server.shell.run("publish --type order.paid {}").await.done();
        seen.is_finished().then(|| id_of(&published.out))
    })
    .await;
    assert_eq!(event.len(), 36);
    let seen = String::from_utf8(seen.await.unwrap().unwrap().stdout).unwrap();
    for line in seen.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(["attempt", "ended"].contains(&line["event"].as_str().unwrap()), "{line}");
        assert_eq!(line["data"]["event_type"], "order.paid");
    }
    assert_eq!(seen.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_commands_are_no_mistakes_of_a_service() {
    let database = Database::new().await;
    let settings = [
        ("POSTRIDER_STRICT", "true"),
        ("POSTRIDER_SERVER", "not a url"),
        ("POSTRIDER_KEY_FILE", "/nowhere"),
        ("POSTRIDER_TENANT", "acme"),
    ];
    let api = Start { settings: &settings, ..Start::new("api", database.url()) }.ready().await;
    assert_eq!(api.http().get("/subscriptions/").await.status, 200);
    let explained =
        program("settings", &database.url()).envs(settings).env("POSTRIDER_KEY", "CANARY").output().await.unwrap();
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains("POSTRIDER_SERVER = not a url") && explained.contains("INVALID: POSTRIDER_SERVER: must be")
    );
    assert!(explained.contains("POSTRIDER_KEY = ********") && !explained.contains("CANARY"));
    assert!(!explained.contains("is not a setting"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_read_enough_ends_a_command_quietly() {
    let server = Server::open().await;
    server.replica.http().subscribe("http://127.0.0.1:9100/").await;
    for line in ["subscriptions list", "subscriptions list --json", "publish {}", "tenants list"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = server.shell.command(&line.split(' ').collect::<Vec<_>>());
        let done = command.stdout(writer).output().await.unwrap();
        assert_eq!((done.status.code(), String::from_utf8(done.stderr).unwrap()), (Some(0), String::new()), "{line}");
    }
}
