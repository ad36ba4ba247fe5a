//! A database of its own for each test, copied from a template that has the schema.
//!
//! `tests/with-postgres` starts the server and names it in `POSTRIDER_TEST_SERVER`.

use futures_util::future::poll_fn;
use postrider::store::{SchemaPolicy, Store, StoreConfig, TlsDefaults};
use tokio::sync::OnceCell;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls};
use uuid::Uuid;

/// A database that exists as long as this value.
pub(crate) struct Database {
    name: String,
}

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

impl Database {
    /// A fresh copy of the template.
    pub(crate) async fn new() -> Self {
        let template = TEMPLATE.get_or_init(make_template).await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = connect("postgres").await;
        // Copying a template fails while somebody else copies it at the same moment.
        let create = format!("create database {name} template {template}");
        while let Err(error) = admin.batch_execute(&create).await {
            assert_eq!(error.code().map(|code| code.code()), Some("55006"), "{error}");
            tokio::task::yield_now().await;
        }
        Self { name }
    }

    /// Another database with the same rows. Nobody else may be connected to this one.
    pub(crate) async fn copy(&self) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = connect("postgres").await;
        admin.batch_execute(&format!("create database {name} template {}", self.name)).await.unwrap();
        Self { name }
    }

    /// An empty database, without the schema.
    pub(crate) async fn empty() -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        connect("postgres").await.batch_execute(&format!("create database {name}")).await.unwrap();
        Self { name }
    }

    /// Ends every session in it and drops it, as an outage that does not pass.
    pub(crate) async fn vanish(&self) {
        connect("postgres").await.batch_execute(&format!("drop database {} with (force)", self.name)).await.unwrap();
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        url(&self.name)
    }

    /// A store over it.
    pub(crate) fn store(&self) -> Store {
        store(&self.name, true)
    }

    /// A store over it that prepares no statements, as behind an older pooler.
    pub(crate) fn unprepared_store(&self) -> Store {
        store(&self.name, false)
    }

    /// A client, and what the server tells it beside its answers.
    pub(crate) async fn client_with_notices(&self) -> (Client, UnboundedReceiver<String>) {
        let (client, mut connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let _nobody_listens = sender.send(notice.message().to_owned());
                }
            }
        });
        (client, receiver)
    }

    /// A plain client, for looking at rows and for moving them.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.name).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("drop database if exists {} with (force)", self.name);
        // Dropping is async and a destructor is not: a thread of its own waits for it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect("postgres").await.batch_execute(&drop).await.unwrap() });
        });
        let _ = dropping.join();
    }
}

async fn make_template() -> String {
    let name = format!("template_{}", Uuid::new_v4().simple());
    connect("postgres").await.batch_execute(&format!("create database {name}")).await.unwrap();
    store(&name, true).migrate(SchemaPolicy::Migrate).await.unwrap();
    name
}

fn store(name: &str, prepare: bool) -> Store {
    let (url, tls) = (url(name), TlsDefaults::default());
    Store::new(&StoreConfig { url, direct_url: None, tls, schema: "public".to_owned(), prepare, pool_size: 12 })
        .unwrap()
}

async fn connect(name: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&url(name), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings of their own")]
fn url(name: &str) -> String {
    let server =
        std::env::var("POSTRIDER_TEST_SERVER").expect("run the tests with `make test`, which starts PostgreSQL");
    format!("{server}/{name}")
}
