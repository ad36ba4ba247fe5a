//! Connects to the server that writes.
//!
//! Hosts of a URL, and addresses of a host, are tried one after the other, without waiting long for one that says
//! nothing: the next begins half a second later, and the first that lets us in and writes wins.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::StoreError;
use super::session::{MARK, Session, are_options_refused, refused_parameter};
use super::url::{DatabaseUrl, Mode, Place, TlsDefaults, TlsParameters};
use crate::tls::{self, TlsError, Verification};

/// Before the next host or address is tried beside one that has not answered.
const HEAD_START: Duration = Duration::from_millis(500);

pub(super) type Wire = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A session with a server that writes.
pub(super) struct Opened {
    pub(super) client: Client,
    /// Must be polled for the client to work.
    pub(super) wire: Wire,
    /// Whether the values of the session arrived as connection options.
    pub(super) has_options: bool,
}

#[derive(Clone)]
pub(super) struct Server(Arc<ServerState>);

struct ServerState {
    url: DatabaseUrl,
    tls: MakeRustlsConnect,
    /// The host that let us in last.
    last_used: AtomicUsize,
    /// Whether a pooler has refused connection options.
    refuses_options: AtomicBool,
}

impl Server {
    /// # Errors
    /// [`StoreError::Url`] for a URL or certificates that cannot be used.
    pub(super) fn new(url: &str, defaults: &TlsDefaults) -> Result<Self, StoreError> {
        let url = DatabaseUrl::parse(url, defaults)?;
        let tls = connector(&url.tls).map_err(|error| StoreError::Url(format!("names certificates, but {error}")))?;
        let (last_used, refuses_options) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Self(Arc::new(ServerState { url, tls, last_used, refuses_options })))
    }

    /// No connection takes longer.
    pub(super) fn limit(&self) -> Duration {
        let others = u32::try_from(self.0.url.places.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.0.url.limit + HEAD_START * others
    }

    pub(super) async fn open(&self, session: &Session) -> Result<Opened, StoreError> {
        let count = self.0.url.places.len();
        let first = if self.0.url.is_shuffled {
            uuid::Uuid::new_v4().as_u128() as usize % count
        } else {
            self.0.last_used.load(Ordering::Relaxed)
        };
        let order = (0..count).map(|step| (first + step) % count);
        let attempts: Vec<BoxFuture<'_, Result<(usize, Opened), StoreError>>> = order
            .filter_map(|index| Some((index, self.0.url.places.get(index)?)))
            .map(|(index, place)| -> BoxFuture<'_, _> {
                Box::pin(async move { Ok((index, self.0.open_within_limit(place, session).await?)) })
            })
            .collect();
        let (index, opened) = first_of(attempts).await?;
        self.0.last_used.store(index, Ordering::Relaxed);
        Ok(opened)
    }
}

impl ServerState {
    async fn open_within_limit(&self, place: &Place, session: &Session) -> Result<Opened, StoreError> {
        let opened = tokio::time::timeout(self.url.limit, self.open_at(place, session)).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!("no login within {} s", self.url.limit.as_secs_f64())))
        });
        opened.map_err(|error| error.at(&named(place)))
    }

    async fn open_at(&self, place: &Place, session: &Session) -> Result<Opened, StoreError> {
        let mut config = self.url.config.clone();
        config.port(place.port);
        let name = match (&place.host, place.address) {
            (Some(Host::Unix(folder)), _) => {
                // A socket of this machine needs no TLS, and libpq uses none.
                config.host_path(folder).ssl_mode(SslMode::Disable);
                return self.log_in(config, session).await;
            }
            (Some(Host::Tcp(name)), Some(address)) => {
                config.host(name).hostaddr(address);
                return self.log_in(config, session).await;
            }
            (None, Some(address)) => {
                // Its certificate, if any, names the address.
                config.host(address.to_string());
                return self.log_in(config, session).await;
            }
            (Some(Host::Tcp(name)), None) => name,
            (None, None) => return Err(StoreError::Url("names no host".to_owned())),
        };
        let found = tokio::net::lookup_host((name.as_str(), place.port)).await;
        let found = found.map_err(|error| StoreError::Unavailable(format!("the name cannot be resolved: {error}")))?;
        let attempts: Vec<BoxFuture<'_, Result<Opened, StoreError>>> = found
            .map(|address| -> BoxFuture<'_, _> {
                let mut config = config.clone();
                config.host(name).hostaddr(address.ip());
                Box::pin(self.log_in(config, session))
            })
            .collect();
        first_of(attempts).await
    }

    /// With our options; without them where a pooler refuses them.
    async fn log_in(&self, config: Config, session: &Session) -> Result<Opened, StoreError> {
        if !self.refuses_options.load(Ordering::Relaxed) {
            let mut with_options = config.clone();
            with_options.options(session.options(config.get_options()));
            match self.connect(&with_options).await {
                Ok(met) => return check(met).await,
                Err(error) if are_options_refused(&error) => self.refuses_options.store(true, Ordering::Relaxed),
                Err(error) => return Err(in_context(error, &self.url.tls)),
            }
        }
        let met = self.connect(&config).await.map_err(|error| refused_parameter(in_context(error, &self.url.tls)))?;
        check(met).await
    }

    /// `prefer` falls back to plain text, as libpq: TLS that fails, or a login that is only allowed without.
    async fn connect(&self, config: &Config) -> Result<(Client, Wire), tokio_postgres::Error> {
        let failed = match config.connect(self.tls.clone()).await {
            Err(failed) if config.get_ssl_mode() == SslMode::Prefer => failed,
            met => return met,
        };
        let is_about_tls = failed.to_string().starts_with("error performing TLS handshake")
            || failed.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        if !is_about_tls {
            return Err(failed);
        }
        let mut plain = config.clone();
        plain.ssl_mode(SslMode::Disable);
        plain.connect(self.tls.clone()).await.map_err(|_| failed)
    }
}

/// Refuses a server that only reads, and looks whether our options arrived.
async fn check((client, mut wire): (Client, Wire)) -> Result<Opened, StoreError> {
    let question = format!(
        "select current_setting('transaction_read_only'), pg_is_in_recovery(), coalesce(current_setting('{MARK}', true), '')"
    );
    let answer = tokio::select! {
        answer = client.simple_query(&question) => answer?,
        ended = &mut wire => {
            ended?;
            return Err(StoreError::Unavailable("the server closed the connection".to_owned()));
        }
    };
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |at: usize| row.and_then(|row| row.get(at)).unwrap_or_default();
    if text(0) == "on" {
        let why = if text(1) == "t" { "it is a standby" } else { "default_transaction_read_only is on" };
        return Err(StoreError::read_only(why));
    }
    let has_options = text(2) == "1";
    Ok(Opened { client, wire, has_options })
}

/// The first that succeeds. The next begins when one fails, or has had its head start.
async fn first_of<T>(attempts: Vec<BoxFuture<'_, Result<T, StoreError>>>) -> Result<T, StoreError> {
    let mut waiting = attempts.into_iter();
    let (mut running, mut failures) = (FuturesUnordered::new(), Vec::new());
    running.extend(waiting.next());
    loop {
        let has_more = waiting.len() > 0;
        tokio::select! {
            done = running.next() => match done {
                Some(Ok(first)) => return Ok(first),
                Some(Err(failure)) => {
                    failures.push(failure);
                    running.extend(waiting.next());
                }
                None => return Err(StoreError::all_of(failures)),
            },
            () = tokio::time::sleep(HEAD_START), if has_more => running.extend(waiting.next()),
        }
    }
}

fn named(place: &Place) -> String {
    match (&place.host, place.address) {
        (Some(Host::Unix(folder)), _) => format!("{}/.s.PGSQL.{}", folder.display(), place.port),
        (Some(Host::Tcp(name)), _) => format!("{name}:{}", place.port),
        (None, Some(address)) => format!("{address}:{}", place.port),
        (None, None) => String::new(),
    }
}

/// Adds what to do to the two commonest failures of TLS.
fn in_context(error: tokio_postgres::Error, tls: &TlsParameters) -> StoreError {
    let said = super::error::in_words(&error);
    let advice = if said.contains("server does not support TLS") {
        "; the server has no certificate, or a pooler in between has none: use sslmode=prefer or disable if the network is yours"
    } else if said.contains("UnknownIssuer") && tls.root_cert.is_none() {
        "; its CA is not a public one: name the CA's file with sslrootcert=FILE"
    } else if said.contains("UnknownIssuer") {
        "; the CA in sslrootcert did not issue it"
    } else if said.contains("certificate not valid for name") {
        "; the certificate is for another name: use that name as host, or sslmode=verify-ca"
    } else {
        return error.into();
    };
    StoreError::Unavailable(format!("{said}{advice}"))
}

fn connector(tls: &TlsParameters) -> Result<MakeRustlsConnect, TlsError> {
    let verification = match (tls.mode, tls.root_cert.as_deref()) {
        (Mode::Disable | Mode::Prefer | Mode::Require, _) => Verification::None,
        (mode, None | Some("system")) => verifying(mode, tls::public_roots(), Vec::new()),
        (mode, Some(file)) => {
            let own = tls::read_certificates(Path::new(file))?;
            let mut roots = rustls::RootCertStore::empty();
            roots.add_parsable_certificates(own.iter().cloned());
            verifying(mode, roots, own)
        }
    };
    let identity = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some((tls::read_certificates(Path::new(cert))?, tls::read_key(Path::new(key))?)),
        _ => None,
    };
    let mut config = tls::client_config(verification, identity)?;
    if tls.is_direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn verifying(
    mode: Mode,
    roots: rustls::RootCertStore,
    pinned: Vec<rustls::pki_types::CertificateDer<'static>>,
) -> Verification {
    match mode {
        Mode::VerifyFull => Verification::Name { roots, pinned },
        _ => Verification::Chain { roots, pinned },
    }
}
