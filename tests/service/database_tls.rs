//! TLS to PostgreSQL, with libpq's words and meaning.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::postgres::Postgres;
use crate::support::process::program;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM format.
fn issue(authority: &Authority, names: &[&str], common: &str) -> (String, String) {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// A server with a private CA that lets nobody in without TLS.
struct Managed {
    server: Postgres,
    ca: Authority,
    ca_file: PathBuf,
}

impl Managed {
    async fn start(hba: &str) -> Self {
        let ca = authority("private");
        let (certificate, key) = issue(&ca, &["localhost"], "localhost");
        Self::with(ca, &certificate, &key, hba).await
    }

    async fn with(ca: Authority, certificate: &str, key: &str, hba: &str) -> Self {
        let mut server = Postgres::start(&[]).await;
        let ca_file = server.file("ca.pem", &ca.pem());
        let (certificate, key) = (server.file("server.pem", certificate), server.file("server.key", key));
        let admin = server.client().await;
        for (name, path) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key), ("ssl_ca_file", &ca_file)] {
            admin.batch_execute(&format!("alter system set {name} = '{}'", path.display())).await.unwrap();
        }
        admin.batch_execute("alter system set ssl = on").await.unwrap();
        server.admit(&format!("local all all trust\n{hba}\n"));
        server.stop();
        server.run().await;
        Self { server, ca, ca_file }
    }

    fn url(&self, host: &str, query: &str) -> String {
        let query = query.replace("CA", &self.ca_file.display().to_string());
        format!("postgres://postgres:secret@{host}:{}/postrider?{query}", self.server.port())
    }

    /// Whether a command gets in, or what it says.
    async fn meets(&self, host: &str, query: &str, settings: &[(&str, &str)]) -> Result<(), String> {
        let ran = program("migrate", &self.url(host, query)).envs(settings.iter().copied()).output().await.unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        if ran.status.success() { Ok(()) } else { Err(said) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_means_what_it_means_to_libpq() {
    let managed = Managed::start("hostssl all all 127.0.0.1/32 trust").await;
    let other = managed.server.file("other.pem", &authority("another").pem());
    let other = format!("sslrootcert={}", other.display());
    for (host, query, expected) in [
        ("localhost", "", Ok(())),
        ("localhost", "sslmode=prefer", Ok(())),
        ("localhost", "sslmode=require", Ok(())),
        ("127.0.0.1", "sslmode=require", Ok(())),
        ("localhost", "ssl=true", Ok(())),
        ("localhost", "sslmode=verify-ca&sslrootcert=CA", Ok(())),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=CA", Ok(())),
        ("127.0.0.1", "sslmode=require&sslrootcert=CA", Ok(())),
        ("localhost", "sslmode=verify-full&sslrootcert=CA", Ok(())),
        ("localhost", "sslmode=disable", Err("no encryption")),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=CA", Err("the certificate is for another name")),
        ("localhost", "sslmode=verify-full", Err("name the CA's file with sslrootcert=FILE")),
        ("localhost", "sslmode=verify-ca", Err("name the CA's file with sslrootcert=FILE")),
        ("localhost", &format!("sslmode=verify-ca&{other}"), Err("the CA in sslrootcert did not issue it")),
        ("localhost", &format!("sslmode=require&{other}"), Err("the CA in sslrootcert did not issue it")),
        ("localhost", "sslmode=prefer&sslrootcert=system", Err("needs sslmode=verify-full")),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere/ca.pem", Err("cannot read /nowhere/ca.pem")),
        ("localhost", "sslmode=verify-full&sslrootcert=/etc/passwd", Err("/etc/passwd holds no certificate")),
        ("localhost", "sslmode=encrypted", Err("it must be disable, allow, prefer, require, verify-ca or verify-full")),
        ("localhost", "sslmod=require", Err("\"sslmod\", which postrider does not support; it supports user, ")),
    ] {
        let met = managed.meets(host, query, &[]).await;
        match expected {
            Ok(()) => assert_eq!(met, Ok(()), "{host} {query}"),
            Err(words) => assert!(met.clone().is_err_and(|said| said.contains(words)), "{host} {query}: {met:?}"),
        }
        assert!(!met.is_err_and(|said| said.contains("secret")), "{query}: the password is not shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_store_and_libpqs_variables_name_roots_too() {
    let managed = Managed::start("hostssl all all 127.0.0.1/32 trust").await;
    let ca = managed.ca_file.display().to_string();
    let system = [("SSL_CERT_FILE", ca.as_str())];
    for query in ["sslmode=verify-full", "sslmode=verify-full&sslrootcert=system", "sslrootcert=system"] {
        assert_eq!(managed.meets("localhost", query, &system).await, Ok(()), "{query}");
        assert!(managed.meets("localhost", query, &[]).await.is_err(), "{query}");
    }
    let variables = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", ca.as_str())];
    assert_eq!(managed.meets("localhost", "", &variables).await, Ok(()));
    assert!(managed.meets("127.0.0.1", "", &variables).await.is_err(), "the name is verified");
    assert_eq!(managed.meets("127.0.0.1", "sslmode=verify-ca", &variables).await, Ok(()), "the URL comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_lets_in_where_the_server_demands_one() {
    let managed = Managed::start("hostssl all all 127.0.0.1/32 cert").await;
    let (certificate, key) = issue(&managed.ca, &[], "postgres");
    let files = (managed.server.file("client.pem", &certificate), managed.server.file("client.key", &key));
    let query = format!("sslmode=require&sslcert={}&sslkey={}", files.0.display(), files.1.display());
    assert_eq!(managed.meets("localhost", &query, &[]).await, Ok(()));
    let without = managed.meets("localhost", "sslmode=require", &[]).await.unwrap_err();
    assert!(without.contains("certificate"), "{without}");
    let half = managed.meets("localhost", &format!("sslcert={}", files.0.display()), &[]).await.unwrap_err();
    assert!(half.contains("both sslcert and sslkey"), "{half}");
    let swapped = format!("sslmode=require&sslcert={}&sslkey={}", files.1.display(), files.0.display());
    let said = managed.meets("localhost", &swapped, &[]).await.unwrap_err();
    assert!(said.contains("client.key holds no certificate"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_bound_to_the_tls_channel_and_a_self_signed_certificate_can_be_its_own_root() {
    let own = authority("localhost");
    let (certificate, key) = (own.pem(), own.key().serialize_pem());
    let managed = Managed::with(own, &certificate, &key, "hostssl all all 127.0.0.1/32 scram-sha-256").await;
    managed.server.client().await.batch_execute("alter role postgres password 'secret'").await.unwrap();
    for query in ["channel_binding=require&sslmode=require", "channel_binding=require&sslmode=verify-ca&sslrootcert=CA"]
    {
        assert_eq!(managed.meets("localhost", query, &[]).await, Ok(()), "{query}");
    }
    let named = managed.meets("localhost", "sslmode=verify-full&sslrootcert=CA", &[]).await.unwrap_err();
    assert!(named.contains("the certificate is for another name"), "{named}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_encrypts_where_it_can_and_goes_on_without_where_it_cannot() {
    let managed = Managed::start("host all all 127.0.0.1/32 trust").await;
    assert_eq!(managed.meets("localhost", "", &[]).await, Ok(()));
    assert!(managed.server.log().contains("SSL enabled"), "{}", managed.server.log());

    let plain = Postgres::start(&[]).await;
    let url = plain.url();
    let unencrypted = program("migrate", &url).output().await.unwrap();
    assert!(unencrypted.status.success(), "{}", String::from_utf8_lossy(&unencrypted.stderr));
    let required = program("migrate", &format!("{url}?sslmode=require")).output().await.unwrap();
    let said = String::from_utf8(required.stderr).unwrap();
    assert!(!required.status.success() && said.contains("the server has no certificate"), "{said}");

    // A rule for plain text only: libpq tries again without TLS.
    let picky = Managed::start("hostnossl all all 127.0.0.1/32 trust").await;
    assert_eq!(picky.meets("localhost", "", &[]).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_libpq_users_append_to_a_url_is_honoured_or_named() {
    let server = Postgres::start(&[]).await;
    for (query, expected) in [
        ("connect_timeout=10&application_name=hooks&keepalives=1&keepalives_idle=30&keepalives_count=3", Ok(())),
        ("target_session_attrs=read-write&gssencmode=disable&client_encoding=UTF8&tcp_user_timeout=5000", Ok(())),
        ("options=-c%20geqo%3Doff&channel_binding=prefer&load_balance_hosts=random&connect_timeout=0", Ok(())),
        ("pgbouncer=true&sslsni=1&sslcompression=0", Ok(())),
        ("target_session_attrs=standby", Err("use read-write")),
        ("gssencmode=require", Err("gssencmode")),
        ("client_encoding=LATIN1", Err("UTF8")),
        ("sslnegotiation=direct", Err("needs sslmode=require")),
        ("keepalives_count=many", Err("must be a number")),
        ("connect_timeout=soon", Err("connect_timeout")),
        ("service=production", Err("\"service\"")),
        ("sslcrl=/x", Err("\"sslcrl\"")),
    ] {
        let ran = program("migrate", &format!("{}?{query}", server.url())).output().await.unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        match expected {
            Ok(()) => assert!(ran.status.success(), "{query}: {said}"),
            Err(words) => assert!(!ran.status.success() && said.contains(words), "{query}: {said}"),
        }
    }
    assert!(server.log().contains("application_name=hooks"), "{}", server.log());
    let other = program("migrate", "mysql://localhost/x").output().await.unwrap();
    assert!(
        String::from_utf8(other.stderr).unwrap().contains("DATABASE_URL: the database URL must begin with postgres://")
    );
}
