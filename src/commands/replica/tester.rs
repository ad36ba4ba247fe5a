//! Sends test events for the API, through the sender's gate and with all details.

use std::time::Duration;

use rustls::RootCertStore;
use tokio_util::sync::CancellationToken;

use crate::domain::attempt::Answer;
use crate::domain::detail::KeepDetail;
use crate::domain::outcome::Outcome;
use crate::domain::tester::Tester;
use crate::sender::{Sender, SenderConfig};
use crate::telemetry::Metrics;

/// Less than the API has to finish its requests, so that an attempt that is cut off is still in the log.
const STOP_GRACE: Duration = Duration::from_secs(3);

pub(super) fn tester(
    config: SenderConfig,
    roots: RootCertStore,
    metrics: Metrics,
    closing: CancellationToken,
) -> Tester {
    // A test is about a connection that is new.
    let sender = Sender::with_roots(SenderConfig { keep: KeepDetail::All, max_idle_per_host: 0, ..config }, roots);
    Tester::new(move |parcel, now| {
        let (sender, metrics, closing) = (sender.clone(), metrics.clone(), closing.clone());
        async move {
            let cut_off = async {
                closing.cancelled().await;
                tokio::time::sleep(STOP_GRACE).await;
            };
            let sent = tokio::select! {
                sent = sender.send(&parcel, now) => sent,
                () = cut_off => return Some(Answer::without_response(Outcome::Unknown)),
            };
            sent.inspect_err(|fault| {
                metrics.local_faults.with_label_values(&[fault.as_str()]).inc();
                tracing::warn!("a test event was not sent: {fault}");
            })
            .ok()
        }
    })
}
