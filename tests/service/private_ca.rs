//! Redis and receivers whose certificates a private CA issued.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::commands::Shell;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::process::{Start, free_address, program};
use crate::support::wait::until;

/// A CA of nobody's, and what it issued for `localhost`, in files.
pub(crate) struct Private {
    folder: Folder,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Private {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "private");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let folder = Folder::new();
        for (name, text) in [("ca", ca.pem()), ("pem", certificate.pem()), ("key", key.serialize_pem())] {
            std::fs::write(folder.0.join(name), text).unwrap();
        }
        Self { folder, certificate, key }
    }

    fn path(&self, name: &str) -> String {
        self.folder.0.join(name).display().to_string()
    }
}

struct TlsRedis(Child);

impl Drop for TlsRedis {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited_for = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_with_a_private_ca_is_used_where_a_file_or_the_system_names_it() {
    let (database, private, port) = (Database::new().await, Private::new(), free_address().port());
    let mut redis = Command::new("redis-server");
    redis.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    redis.args(["--tls-cert-file", &private.path("pem"), "--tls-key-file", &private.path("key")]);
    redis.args(["--tls-ca-cert-file", &private.path("ca"), "--tls-auth-clients", "no"]);
    let _redis = TlsRedis(redis.current_dir(&private.folder.0).stdout(Stdio::null()).spawn().unwrap());
    until("Redis listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    let (url, ca) = (format!("rediss://localhost:{port}"), private.path("ca"));
    for (setting, expected) in [
        (("REDIS_CA_FILE", ca.as_str()), "ok       redis         answers in"),
        (("SSL_CERT_FILE", ca.as_str()), "ok       redis         answers in"),
        (("REDIS_CA_FILE", "/etc/passwd"), "/etc/passwd holds no certificate"),
        (("POSTRIDER_DB_POOL_SIZE", "10"), "warning  redis"),
    ] {
        let asked = program("doctor", &database.url()).env("REDIS_URL", &url).envs([setting]).output().await.unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        assert!(said.contains(expected), "{setting:?}: {said}");
    }
}

/// Answers every request on every connection with 200.
pub(crate) async fn receive(private: &Private) -> SocketAddr {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![private.certificate.der().clone()],
            PrivateKeyDer::try_from(private.key.serialize_der()).unwrap(),
        )
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 8_192];
                let _whole_or_not = stream.read(&mut head).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _gone = stream.write_all(answer).await;
                let _gone = stream.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_a_private_ca_is_reached_where_a_file_or_the_system_names_it() {
    let private = Private::new();
    let target = format!("https://localhost:{}/hook", receive(&private).await.port());
    let ca = private.path("ca");
    for (setting, outcome) in [
        (("POSTRIDER_CA_FILE", ca.as_str()), "delivered"),
        (("SSL_CERT_FILE", ca.as_str()), "delivered"),
        (("POSTRIDER_RETRY_SCHEDULE", "none"), "tls_untrusted"),
    ] {
        let database = Database::new().await;
        let settings = [setting, ("POSTRIDER_ALLOW_TARGETS", "127.0.0.0/8,::1/128")];
        let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
        let http = replica.http();
        let subscription = http.subscribe(&target).await;
        let path = format!("/ingest/{subscription}");
        http.send(Method::POST, &path, &[], Bytes::from_static(b"{}")).await.unwrap();
        let client = database.client().await;
        let met = until("the attempt is logged", async || {
            client.query_opt("select outcome from attempts limit 1", &[]).await.unwrap()
        })
        .await;
        assert_eq!(met.get::<_, String>(0), outcome, "{setting:?}");
    }
    let database = Database::new().await;
    for command in ["serve", "doctor"] {
        let ran = program(command, &database.url()).env("POSTRIDER_CA_FILE", "/nowhere.pem").output().await.unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        assert!(!ran.status.success());
        assert!(String::from_utf8(said).unwrap().contains("POSTRIDER_CA_FILE: cannot read /nowhere.pem"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_server_with_a_private_ca_where_a_file_or_the_system_names_it() {
    let private = Private::new();
    let shell = Shell::of(&format!("https://localhost:{}", receive(&private).await.port()));
    let untrusted = shell.run("events payload x").await;
    assert!(
        untrusted.code == Some(3) && untrusted.err.contains("invalid peer certificate: UnknownIssuer"),
        "{untrusted:?}"
    );
    for setting in ["POSTRIDER_CA_FILE", "SSL_CERT_FILE"] {
        shell.with(setting, &private.path("ca")).run("events payload x").await.done();
    }
    let other = shell.with("POSTRIDER_CA_FILE", "/etc/passwd").run("events payload x").await;
    assert!(other.err.contains("POSTRIDER_CA_FILE: /etc/passwd holds no certificate"), "{other:?}");
}
