//! Publishes the events of one request in groups, so that other requests' events get their turn in between.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::publication::{Publication, Refusal};
use super::queue::{answer_of, too_many};
use super::{Accepted, Intake, Pending, Publisher, Submission};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::ordering::OrderingKey;

/// Maximum events, and deliveries, of one request that wait for their commit at once.
const MAX_GROUP: usize = 256;
const MAX_GROUP_DELIVERIES: usize = 2_048;

impl Intake {
    /// As [`Self::accept`] for many events, which wait for room in the queue until `deadline` instead of
    /// being refused: a burst in one request is no sign of overload. Answers each in
    /// its place.
    async fn accept_many(&self, submissions: Vec<Submission>, deadline: Instant) -> Vec<Result<Accepted, Refusal>> {
        if let Err(refusal) = self.check_clock() {
            return submissions.iter().map(|_| Err(refusal.clone())).collect();
        }
        let mut answers = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let (answer, answered) = oneshot::channel();
            let pushed = self.open.0.push_by(Pending { submission, answer }, deadline).await;
            answers.push(pushed.map(|()| answered).map_err(|_| too_many()));
        }
        let mut settled = Vec::with_capacity(answers.len());
        for answered in answers {
            settled.push(match answered {
                Ok(answered) => answer_of(answered, deadline).await,
                Err(refusal) => Err(refusal),
            });
        }
        settled
    }
}

impl Publisher<'_> {
    /// Waits for room in the queue instead of refusing. Results are in the order of the events.
    pub(crate) async fn publish_all(
        &mut self,
        events: &[Publication],
        deadline: Instant,
    ) -> Vec<Result<Accepted, Refusal>> {
        let late = Refusal::Unavailable("the events before it took all the time");
        let mut settled: Vec<Result<Accepted, Refusal>> = Vec::with_capacity(events.len());
        let mut open = VecDeque::new();
        let mut unavailable = None;
        for (position, publication) in events.iter().enumerate() {
            let refusal = match (&unavailable, publication.tenant()) {
                (Some(refusal), _) => Some(Refusal::clone(refusal)),
                (None, Some(tenant)) => self.intake.rates.take(tenant).await.err(),
                (None, None) => None,
            };
            match refusal {
                Some(refusal) => {
                    // The remaining events would wait for the same database one after the other.
                    unavailable = Some(refusal.clone()).filter(Refusal::is_unavailable).or(unavailable);
                    settled.push(Err(refusal));
                }
                None => {
                    settled.push(Err(late.clone()));
                    open.push_back(position);
                }
            }
        }
        while !open.is_empty() && Instant::now() < deadline {
            for (position, result) in self.publish_group(events, &mut open, deadline).await {
                if let Some(slot) = settled.get_mut(position) {
                    *slot = result;
                }
            }
        }
        settled
    }

    /// Submits as many open events as may wait at once, and returns the finished ones. Those whose audience has
    /// changed stay open.
    async fn publish_group(
        &mut self,
        events: &[Publication],
        open: &mut VecDeque<usize>,
        deadline: Instant,
    ) -> Vec<(usize, Result<Accepted, Refusal>)> {
        self.lists.clear();
        let (mut group, mut submissions, mut deliveries) = (Vec::new(), Vec::new(), 0);
        let (mut settled, mut groups) = (Vec::new(), HashMap::new());
        while group.len() < MAX_GROUP && deliveries < MAX_GROUP_DELIVERIES {
            let Some(position) = open.pop_front() else { break };
            let Some(publication) = events.get(position) else { continue };
            match timeout_at(deadline, self.submission(publication)).await {
                Ok(Ok(Err(earlier))) => settled.push((position, Ok(earlier))),
                Ok(Ok(Ok(submission))) if !joins(&mut groups, &submission) => {
                    open.push_front(position);
                    break;
                }
                Ok(Ok(Ok(submission))) => {
                    deliveries += submission.audience.recipients.len();
                    group.push((position, publication));
                    submissions.push(submission);
                }
                Ok(Err(refusal)) => {
                    // The remaining events would wait for the same database one after the other.
                    if refusal.is_unavailable() {
                        open.clear();
                    }
                    settled.push((position, Err(refusal)));
                }
                Err(_) => break,
            }
        }
        let answers = self.intake.accept_many(submissions, deadline).await;
        // From the back, so that the open ones keep their order.
        for ((position, publication), answer) in group.into_iter().zip(answers).rev() {
            match answer {
                Err(Refusal::Changed) => match self.read_again(publication).await {
                    Ok(()) => open.push_front(position),
                    Err(refusal) => settled.push((position, Err(refusal))),
                },
                Err(refusal) => settled.push((position, Err(refusal))),
                Ok(accepted) => settled.push((position, Ok(self.invalidate_edited(publication, accepted)))),
            }
        }
        settled
    }
}

/// Addressed subscription or list, and its version.
type Basis = (Option<SubscriptionId>, Option<i64>);

/// Two events with one ordering key need the same basis: the second could otherwise overtake the first, which would
/// be matched again.
fn joins(groups: &mut HashMap<(TenantId, OrderingKey), Basis>, submission: &Submission) -> bool {
    let Submission { audience, ordering_key, .. } = submission;
    let Some(key) = ordering_key else { return true };
    let recipient = || audience.recipients.first().map(|one| (Some(one.id), Some(one.version)));
    let basis = match audience.list_version {
        Some(version) => (None, Some(version)),
        None => recipient().unwrap_or_default(),
    };
    *groups.entry((audience.tenant, key.clone())).or_insert(basis) == basis
}
