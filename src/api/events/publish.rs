//! From requests to submissions: whom each event is for, decided on copies, and decided again
//! where a copy turns out to be out of date.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::publication::Publication;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::domain::audience::{Audience, MAX_RECIPIENTS};
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::ordering::OrderingKey;
use crate::domain::subscription::Subscription;
use crate::intake::{Accepted, Refusal, Submission};
use crate::subscriptions::SubscriptionList;

/// Most events, and deliveries, of one request that wait for their commit at once: between
/// them the events of others have their turn.
const MAX_GROUP: usize = 256;
const MAX_GROUP_DELIVERIES: usize = 2_048;

/// What an event is decided to be.
enum Decided {
    /// One to be accepted.
    Now(Submission),
    /// One that was accepted.
    Earlier(Accepted),
}

/// Publishes the events of one request.
pub(super) struct Publisher<'a> {
    api: &'a Api,
    tenant: TenantId,
    deadline: Instant,
    /// The list in use, by all that wait for their commit at once.
    list: Option<Arc<SubscriptionList>>,
    /// Subscriptions whose copies were found out of date.
    distrusted: HashSet<SubscriptionName>,
    /// Subscriptions that were read for this request.
    seen: HashMap<SubscriptionName, Option<Arc<Subscription>>>,
}

impl<'a> Publisher<'a> {
    /// For a request of this tenant that is answered by then.
    pub(super) fn new(api: &'a Api, tenant: TenantId, deadline: Instant) -> Self {
        Self { api, tenant, deadline, list: None, distrusted: HashSet::new(), seen: HashMap::new() }
    }

    /// Publishes one event; a queue that is full refuses it at once.
    ///
    /// # Errors
    /// [`Problem`] says why it is not accepted.
    pub(super) async fn publish(mut self, publication: &Publication) -> Result<Accepted, Problem> {
        let deadline = self.deadline;
        let publishing = async {
            loop {
                self.list = None;
                let submission = match self.decide(publication).await? {
                    Decided::Now(submission) => submission,
                    Decided::Earlier(accepted) => return Ok(accepted),
                };
                match self.api.intake.accept(submission).await {
                    Err(Refusal::Changed) => self.distrust(publication),
                    Err(refusal) => return Err(Problem::from(refusal)),
                    Ok(accepted) => return Ok(self.learnt(accepted)),
                }
            }
        };
        timeout_at(deadline, publishing).await.unwrap_or(Err(Problem::Unavailable))
    }

    /// Publishes many; each is settled in its place.
    pub(super) async fn publish_all(
        mut self,
        events: Vec<Result<Publication, Problem>>,
    ) -> Vec<Result<Accepted, Problem>> {
        let mut settled: Vec<Result<Accepted, Problem>> = Vec::with_capacity(events.len());
        let mut open = VecDeque::new();
        for (place, event) in events.iter().enumerate() {
            // What is valid is open, and stays unavailable where it is not settled in time.
            settled.push(Err(event.as_ref().err().cloned().unwrap_or(Problem::Unavailable)));
            if event.is_ok() {
                open.push_back(place);
            }
        }
        while !open.is_empty() && Instant::now() < self.deadline {
            for (place, result) in self.publish_group(&events, &mut open).await {
                if let Some(slot) = settled.get_mut(place) {
                    *slot = result;
                }
            }
        }
        settled
    }

    /// Submits as many of the open ones as may wait at once, and returns what is settled;
    /// those that are to be decided anew stay open.
    async fn publish_group(
        &mut self,
        events: &[Result<Publication, Problem>],
        open: &mut VecDeque<usize>,
    ) -> Vec<(usize, Result<Accepted, Problem>)> {
        self.list = None;
        let (mut group, mut submissions, mut deliveries) = (Vec::new(), Vec::new(), 0);
        let (mut settled, mut lines) = (Vec::new(), HashMap::new());
        while group.len() < MAX_GROUP && deliveries < MAX_GROUP_DELIVERIES {
            let Some(next) = open.pop_front() else { break };
            let Some(Ok(publication)) = events.get(next) else { continue };
            match timeout_at(self.deadline, self.decide(publication)).await {
                Ok(Ok(Decided::Earlier(accepted))) => settled.push((next, Ok(accepted))),
                Ok(Ok(Decided::Now(submission))) if !joins(&mut lines, &submission) => {
                    open.push_front(next);
                    break;
                }
                Ok(Ok(Decided::Now(submission))) => {
                    deliveries += submission.audience.recipients.len();
                    group.push((next, publication));
                    submissions.push(submission);
                }
                // The database is away: the others would wait for it one after the other.
                Ok(Err(Problem::Unavailable)) => open.clear(),
                Ok(Err(problem)) => settled.push((next, Err(problem))),
                Err(_) => settled.push((next, Err(Problem::Unavailable))),
            }
        }
        let answers = self.api.intake.accept_many(submissions, self.deadline).await;
        // From the back, so that those that stay open keep their order.
        for ((place, publication), answer) in group.into_iter().zip(answers).rev() {
            match answer {
                Err(Refusal::Changed) => {
                    self.distrust(publication);
                    open.push_front(place);
                }
                Err(refusal) => settled.push((place, Err(refusal.into()))),
                Ok(accepted) => settled.push((place, Ok(self.learnt(accepted)))),
            }
        }
        settled
    }

    /// The event as it stands now; or as it was accepted, where it is refused by now for what
    /// may have been otherwise when the request was sent first.
    async fn decide(&mut self, publication: &Publication) -> Result<Decided, Problem> {
        match self.submission(publication).await {
            Ok(submission) => Ok(Decided::Now(submission)),
            Err(problem) if publication.may_have_been_taken(&problem) => {
                self.earlier(publication).await?.map(Decided::Earlier).ok_or(problem)
            }
            Err(problem) => Err(problem),
        }
    }

    /// What an earlier request with the same key was accepted as, if it was the same.
    async fn earlier(&self, publication: &Publication) -> Result<Option<Accepted>, Problem> {
        let Some(key) = &publication.key else { return Ok(None) };
        let address = match &publication.address {
            None => None,
            Some(SubscriptionName::Id(id)) => Some(*id),
            Some(SubscriptionName::External(name)) => match self.api.subscriptions.resolve(self.tenant, name).await? {
                Some(id) => Some(id),
                None => return Ok(None),
            },
        };
        let owners = self.api.store.find_keys(&[(self.tenant, key)]).await?;
        let print = publication.fingerprint(address);
        let same = owners.iter().find(|owner| owner.fingerprint == print.as_bytes());
        Ok(same.map(|owner| Accepted::earlier(owner.event)))
    }

    async fn submission(&mut self, publication: &Publication) -> Result<Submission, Problem> {
        if let Some(problem) = &publication.over {
            return Err(problem.clone());
        }
        let audience = self.audience(publication).await?;
        let address = audience.recipients.first().map(|one| one.id).filter(|_| publication.address.is_some());
        let Publication { event_type, payload, times, key, ordering_key, .. } = publication;
        Ok(Submission {
            audience,
            event_type: event_type.clone(),
            payload: payload.clone(),
            timing: times.timing,
            ordering_key: ordering_key.clone(),
            key: key.clone().map(|key| (key, publication.fingerprint(address))),
        })
    }

    /// Whom it is for, by what is near; a refusal is judged on what was read for this request.
    async fn audience(&mut self, publication: &Publication) -> Result<Audience, Problem> {
        let event_type = publication.event_type.as_ref();
        let Some(name) = &publication.address else {
            let audience = self.list().await?.audience(event_type);
            let is_bounded = audience.recipients.len() <= MAX_RECIPIENTS;
            return if is_bounded { Ok(audience) } else { Err(Problem::TooManyRecipients) };
        };
        if !self.seen.contains_key(name) {
            if let Some(copy) = self.copy(name).await.filter(|copy| check(copy, event_type).is_ok()) {
                return Ok(Audience::one(&copy));
            }
            let read = match name {
                SubscriptionName::Id(id) => self.api.subscriptions.read(Some(self.tenant), *id).await?,
                SubscriptionName::External(name) => self.api.subscriptions.read_named(self.tenant, name).await?,
            };
            self.seen.insert(name.clone(), read);
        }
        let subscription = self.seen.get(name).and_then(Option::as_ref).ok_or(Problem::SubscriptionNotFound)?;
        check(subscription, event_type)?;
        Ok(Audience::one(subscription))
    }

    /// What is near of it, unless that was found out of date.
    async fn copy(&self, name: &SubscriptionName) -> Option<Arc<Subscription>> {
        match name {
            name if self.distrusted.contains(name) => None,
            SubscriptionName::Id(id) => self.api.subscriptions.copy(Some(self.tenant), *id).await,
            SubscriptionName::External(name) => self.api.subscriptions.copy_named(self.tenant, name).await,
        }
    }

    async fn list(&mut self) -> Result<Arc<SubscriptionList>, Problem> {
        if let Some(list) = &self.list {
            return Ok(Arc::clone(list));
        }
        let list = self.api.subscriptions.all(self.tenant).await?;
        Ok(Arc::clone(self.list.insert(list)))
    }

    /// What the event was decided on is out of date.
    fn distrust(&mut self, publication: &Publication) {
        if let Some(name) = &publication.address {
            self.distrusted.insert(name.clone());
            self.seen.remove(name);
        } else {
            self.outdate_list(&[]);
        }
    }

    /// What was accepted may say that the list is out of date: the next event is decided on a
    /// better one.
    fn learnt(&mut self, accepted: Accepted) -> Accepted {
        if !accepted.outdated.is_empty() {
            self.outdate_list(&accepted.outdated);
        }
        accepted
    }

    fn outdate_list(&mut self, ids: &[SubscriptionId]) {
        if let Some(list) = &self.list {
            self.api.subscriptions.outdate(list, ids);
        }
    }
}

/// What events were decided on: the subscription they are addressed to or the list of all, and
/// its version.
type Basis = (Option<SubscriptionId>, Option<i64>);

/// Whether an event may wait for its commit together with those before it. Of two with one
/// ordering key the first may turn out to be decided on what is out of date, and the second
/// would overtake it if it was decided on something else; decided on the same, it stays open too.
fn joins(lines: &mut HashMap<OrderingKey, Basis>, Submission { audience, ordering_key, .. }: &Submission) -> bool {
    let Some(key) = ordering_key else { return true };
    let recipient = || audience.recipients.first().map(|one| (Some(one.id), Some(one.version)));
    let basis = match audience.list_version {
        Some(version) => (None, Some(version)),
        None => recipient().unwrap_or_default(),
    };
    *lines.entry(key.clone()).or_insert(basis) == basis
}

/// Whether an event of this type may be addressed to it.
fn check(subscription: &Subscription, event_type: Option<&EventType>) -> Result<(), Problem> {
    if !subscription.is_active {
        return Err(Problem::SubscriptionDisabled);
    }
    Ok(subscription.check_wanted(event_type)?)
}
