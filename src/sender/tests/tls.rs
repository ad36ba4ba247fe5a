use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::receiver::{OK, Peer, Receiver, raw};
use super::*;
use crate::domain::outcome::Outcome;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        acceptor(certificate.der().clone(), &key, None)
    }

    fn trusting(&self, request_timeout: Duration) -> Sender {
        let mut roots = RootCertStore::empty();
        roots.add(self.root()).unwrap();
        Sender::with_roots(config(request_timeout), roots)
    }
}

fn acceptor(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    client_root: Option<CertificateDer<'static>>,
) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match client_root {
        None => builder.with_no_client_auth(),
        Some(root) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(root).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
}

async fn answer_all(mut peer: Peer) -> Option<()> {
    while peer.answer(OK).await.is_some() {}
    None
}

fn https(host: &str, address: SocketAddr) -> Parcel {
    parcel(&format!("https://{host}:{}/in", address.port()))
}

async fn met(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Answer {
    let authority = Authority::named("ours");
    let receiver = Receiver::start_tls(authority.server(name, change), answer_all).await;
    send(&authority.trusting(AMPLE), &https("127.0.0.1", receiver.address)).await
}

#[tokio::test]
async fn a_certificate_of_an_added_root_is_trusted_for_names_and_addresses() {
    let authority = Authority::named("ours");
    for host in ["127.0.0.1", "localhost"] {
        let mut receiver = Receiver::start_tls(authority.server(host, |_| ()), answer_all).await;
        let sender = authority.trusting(AMPLE);
        for _ in 0..2 {
            let answer = send(&sender, &https(host, receiver.address)).await;
            assert_eq!(answer.outcome, Outcome::Delivered, "{host}");
            assert_eq!(answer.remote, Some(receiver.address.ip()));
            let timing = answer.detail.unwrap().timing;
            // Only the first attempt opened it.
            assert_eq!(timing.tls_ms.is_some(), timing.connect_ms.is_some(), "{timing:?}");
        }
        assert_eq!(receiver.accepted(), 1, "the connection was not used again");
        let authority = format!("{host}:{}", receiver.address.port());
        assert_eq!(receiver.received().header("host"), Some(authority.as_str()));
    }
}

#[tokio::test]
async fn a_certificate_of_another_root_is_untrusted() {
    let receiver = Receiver::start_tls(Authority::named("stranger").server("127.0.0.1", |_| ()), answer_all).await;
    for sender in [sender(AMPLE), Authority::named("ours").trusting(AMPLE)] {
        let answer = send(&sender, &https("127.0.0.1", receiver.address)).await;
        assert_eq!((answer.outcome, answer.status), (Outcome::TlsUntrusted, None));
        assert_eq!((answer.remote, answer.stale_connection), (Some(receiver.address.ip()), false));
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_untrusted() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let receiver = Receiver::start_tls(acceptor(certificate.der().clone(), &key, None), answer_all).await;
        let answer = send(&sender(AMPLE), &https("127.0.0.1", receiver.address)).await;
        assert_eq!(answer.outcome, Outcome::TlsUntrusted);
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_has_its_word() {
    assert_eq!(met("other.example", |_| ()).await.outcome, Outcome::TlsName);
}

#[tokio::test]
async fn an_expired_or_future_certificate_has_its_word() {
    let expired = met("127.0.0.1", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert_eq!(expired.await.outcome, Outcome::TlsExpired);
    let future = met("127.0.0.1", |params| params.not_before = rcgen::date_time_ymd(3000, 1, 1));
    assert_eq!(future.await.outcome, Outcome::TlsExpired);
}

#[tokio::test]
async fn a_certificate_for_another_use_is_invalid() {
    let met = met("127.0.0.1", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(met.await.outcome, Outcome::TlsInvalid);
}

#[tokio::test]
async fn a_receiver_that_wants_our_certificate_gets_none() {
    let authority = Authority::named("ours");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.0).unwrap().der().clone();
    let receiver = Receiver::start_tls(acceptor(certificate, &key, Some(authority.root())), answer_all).await;
    let answer = send(&authority.trusting(AMPLE), &https("127.0.0.1", receiver.address)).await;
    assert_eq!((answer.outcome, answer.stale_connection), (Outcome::TlsAlert, false));
}

#[tokio::test]
async fn plain_http_on_the_https_port_breaks_tls() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        peer.hold().await;
        None
    })
    .await;
    let answer = send(&sender(AMPLE), &https("127.0.0.1", receiver.address)).await;
    assert_eq!((answer.outcome, answer.remote), (Outcome::TlsProtocol, Some(receiver.address.ip())));
}

#[tokio::test]
async fn raw_records_have_their_words() {
    let hello_of_tls_1_1 = [
        [22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2].as_slice(), // record, handshake, version
        &[7; 32],                                        // random
        &[0, 0, 47, 0],                                  // no session, a cipher, no compression
    ]
    .concat();
    for (record, outcome) in [
        (vec![21, 3, 3, 0, 2, 2, 70], Outcome::TlsVersion), // alert: protocol_version
        (vec![21, 3, 3, 0, 2, 2, 40], Outcome::TlsAlert),   // alert: handshake_failure
        (hello_of_tls_1_1, Outcome::TlsVersion),
        (vec![22, 3, 3, 0xff, 0xff], Outcome::TlsProtocol), // longer than a record may be
    ] {
        let receiver = Receiver::start(move |mut peer| {
            let record = record.clone();
            async move {
                peer.send(record).await?;
                peer.hold().await;
                None
            }
        })
        .await;
        let answer = send(&sender(AMPLE), &https("127.0.0.1", receiver.address)).await;
        assert_eq!(answer.outcome, outcome);
    }
}

#[tokio::test]
async fn a_receiver_that_closes_within_the_handshake_closed_early() {
    let address = raw(|mut tcp| async move {
        use tokio::io::AsyncReadExt as _;
        let _hello = tcp.read(&mut [0; 4_096]).await;
    })
    .await;
    let answer = send(&sender(AMPLE), &https("127.0.0.1", address)).await;
    assert!(matches!(answer.outcome, Outcome::ClosedEarly | Outcome::Reset), "{answer:?}");
    assert_eq!(answer.remote, Some(address.ip()));
}

#[tokio::test]
async fn a_handshake_that_stalls_times_out() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.hold().await;
        None
    })
    .await;
    let answer = send(&sender(SHORT), &https("127.0.0.1", receiver.address)).await;
    assert_eq!((answer.outcome, answer.status), (Outcome::Timeout, None));
}

#[tokio::test]
async fn a_reused_tls_connection_that_closes_in_silence_was_stale() {
    let authority = Authority::named("ours");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1", |_| ()), |mut peer: Peer| async move {
        peer.answer(OK).await?;
        peer.request().await
    })
    .await;
    let sender = authority.trusting(AMPLE);
    let parcel = https("127.0.0.1", receiver.address);
    assert_eq!(send(&sender, &parcel).await.outcome, Outcome::Delivered);
    let second = send(&sender, &parcel).await;
    assert_eq!((second.outcome, second.stale_connection), (Outcome::ClosedEarly, true));
}
