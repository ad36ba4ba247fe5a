use super::super::own_addresses;
use super::receiver::{OK, Receiver};
use super::*;
use crate::domain::outcome::Outcome;

fn strict() -> Sender {
    Sender::new(SenderConfig { addresses: Arc::default(), ..config(AMPLE) })
}

#[tokio::test]
async fn a_blocked_address_is_never_dialled_however_it_is_written() {
    let v4 = Receiver::answering(OK).await;
    let v6 = Receiver::listen("[::1]:0", None, |mut peer| async move { peer.answer(OK).await }).await;
    let sender = strict();
    for url in [
        format!("http://127.0.0.1:{}/", v4.address.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", v4.address.port()),
        format!("http://localhost:{}/", v4.address.port()),
        format!("https://localhost:{}/", v4.address.port()),
        format!("http://[::1]:{}/", v6.address.port()),
        format!("http://localhost:{}/", v6.address.port()),
    ] {
        let answer = send(&sender, &parcel(&url)).await;
        assert_eq!((answer.outcome, answer.remote), (Outcome::BlockedAddress, None), "{url}");
        assert_eq!((answer.status, answer.stale_connection), (None, false), "{url}");
    }
    assert_eq!((v4.accepted(), v6.accepted()), (0, 0));
}

#[tokio::test]
async fn the_operators_deny_list_is_stronger_than_the_allow_list() {
    let receiver = Receiver::answering(OK).await;
    let deny = vec!["127.0.0.1/32".parse().unwrap()];
    let sender =
        Sender::new(SenderConfig { addresses: Arc::new(AddressPolicy { deny, ..loopback() }), ..config(AMPLE) });
    assert_eq!(send(&sender, &http(receiver.address)).await.outcome, Outcome::BlockedAddress);
    assert_eq!(receiver.accepted(), 0);
}

#[tokio::test]
async fn an_opened_address_is_reached_by_literal_mapped_literal_and_name() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let answer = send(&sender(AMPLE), &parcel(&format!("http://{host}:{port}/"))).await;
        assert_eq!(answer.outcome, Outcome::Delivered, "{host}");
        assert_eq!(answer.remote, Some(receiver.address.ip()), "{host}");
    }
}

#[tokio::test]
async fn ipv6_literals_are_reached() {
    let mut receiver = Receiver::listen("[::1]:0", None, |mut peer| async move { peer.answer(OK).await }).await;
    let answer = met_at(receiver.address).await;
    assert_eq!((answer.outcome, answer.remote), (Outcome::Delivered, Some(receiver.address.ip())));
    assert_eq!(receiver.received().header("host"), Some(receiver.address.to_string().as_str()));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_failed_lookup() {
    let answer = send(&sender(AMPLE), &parcel("http://no-such-name.invalid/")).await;
    assert!(matches!(answer.outcome, Outcome::DnsFailed | Outcome::DnsTimeout), "{answer:?}");
    assert_eq!(answer.remote, None);
}

#[test]
fn loopback_is_among_the_machines_own_addresses() {
    assert!(own_addresses().contains(&"127.0.0.1".parse().unwrap()));
}
