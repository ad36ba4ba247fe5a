//! The publishing pipeline: finds the audience in copies, confirms it on the rows, and retries with fresh copies.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::publication::{Address, Publication, Refusal, To};
use super::{Accepted, Intake, Submission};
use crate::domain::audience::{Audience, MAX_RECIPIENTS};
use crate::domain::external_id::SubscriptionName;
use crate::domain::filter::Judge;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::signature::InvalidSignature;
use crate::domain::subscription::Subscription;
use crate::subscriptions::SubscriptionList;

/// Publishes the events of one request. Reads each subscription at most once for all of them.
pub(crate) struct Publisher<'a> {
    pub(super) intake: &'a Intake,
    /// As read from PostgreSQL during this request.
    read: HashMap<(Option<TenantId>, SubscriptionName), Option<Arc<Subscription>>>,
    /// Lists on which waiting events were matched.
    pub(super) lists: HashMap<TenantId, Arc<SubscriptionList>>,
    /// Subscription and version with which the signature was verified, and the result: it is computed once.
    verified: Option<((SubscriptionId, i64), Result<(), InvalidSignature>)>,
    tenant: Option<TenantId>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(intake: &'a Intake) -> Self {
        Self { intake, read: HashMap::new(), lists: HashMap::new(), verified: None, tenant: None }
    }

    /// Checks an addressed event before its payload is read: the subscription exists, is active, and accepts the
    /// signature over `body`, if that has arrived. Refuses by what PostgreSQL has, never by a copy.
    pub(crate) async fn check(
        &mut self,
        address: &Address,
        body: Option<&Bytes>,
    ) -> Result<Arc<Subscription>, Refusal> {
        self.addressed(address, |publisher, subscription| publisher.check_open(address, subscription, body)).await
    }

    /// Refused at once if too many events wait.
    pub(crate) async fn publish(&mut self, publication: &Publication, deadline: Instant) -> Result<Accepted, Refusal> {
        let publishing = async {
            // A subscription whose signature was verified names its tenant.
            if let Some(tenant) = publication.tenant().or(self.tenant) {
                self.intake.rates.take(tenant).await?;
            }
            loop {
                self.lists.clear();
                let submission = match self.submission(publication).await? {
                    Ok(submission) => submission,
                    Err(earlier) => return Ok(earlier),
                };
                match self.intake.accept(submission).await {
                    Err(Refusal::Changed) => self.read_again(publication).await?,
                    Err(refusal) => return Err(refusal),
                    Ok(accepted) => return Ok(self.invalidate_edited(publication, accepted)),
                }
            }
        };
        timeout_at(deadline, publishing)
            .await
            .unwrap_or(Err(Refusal::Unavailable("the database did not answer in time")))
    }

    /// Decides the event. If it would be refused only because of something that changed since an identical first
    /// request, returns that request's result (idempotent replay).
    pub(super) async fn submission(
        &mut self,
        publication: &Publication,
    ) -> Result<Result<Submission, Accepted>, Refusal> {
        let audience = match self.checked_audience(publication).await {
            Ok(audience) => audience,
            Err(refusal) if publication.may_repeat(&refusal) => {
                return self.earlier(publication).await?.map(Err).ok_or(refusal);
            }
            Err(refusal) => return Err(refusal),
        };
        let address = audience.recipients.first().map(|one| one.id).filter(|_| audience.list_version.is_none());
        let Publication { event_type, payload, hops, times, key, ordering_key, from_outbox, .. } = publication;
        Ok(Ok(Submission {
            audience,
            event_type: event_type.clone(),
            payload: payload.clone(),
            hops: *hops,
            timing: times.timing(),
            ordering_key: ordering_key.clone(),
            key: key.clone().map(|key| (key, publication.fingerprint(address))),
            from_outbox: *from_outbox,
        }))
    }

    async fn checked_audience(&mut self, publication: &Publication) -> Result<Audience, Refusal> {
        let audience = self.audience(publication).await?;
        let Some(event_type) = &publication.event_type else { return Ok(audience) };
        let check = self.intake.tenants.check_payload(audience.tenant, event_type, &publication.payload);
        let mismatches = check.await?;
        if mismatches.is_empty() { Ok(audience) } else { Err(Refusal::SchemaMismatch(mismatches)) }
    }

    async fn audience(&mut self, publication: &Publication) -> Result<Audience, Refusal> {
        if publication.times.is_over() {
            return Err(Refusal::Over);
        }
        let event_type = publication.event_type.as_ref();
        match &publication.to {
            To::All(tenant) => {
                let mut audience = self.list(*tenant).await?.audience(event_type, &publication.payload).await;
                if audience.recipients.len() > MAX_RECIPIENTS {
                    return Err(Refusal::TooManyRecipients);
                }
                let is_due = publication.times.timing().deliver_at().is_none();
                if self.intake.has_worker && is_due {
                    self.intake.subscriptions.fill(&mut audience).await;
                }
                Ok(audience)
            }
            To::One(address) => {
                let body = Some(publication.payload.bytes());
                let mut judge = Judge::of(&publication.payload);
                let subscription = self.addressed(address, |publisher, subscription| {
                    publisher.check_open(address, subscription, body)?;
                    subscription.check_wanted(event_type).map_err(Refusal::NotWanted)?;
                    let is_met = subscription.filter.as_ref().is_none_or(|filter| judge.matches(filter));
                    if is_met { Ok(()) } else { Err(Refusal::FilteredOut) }
                });
                Ok(Audience::one(&subscription.await?))
            }
        }
    }

    /// A copy that fails the check is read again, so that a change on another replica never refuses a good event.
    async fn addressed(
        &mut self,
        address: &Address,
        mut check: impl FnMut(&mut Self, &Subscription) -> Result<(), Refusal>,
    ) -> Result<Arc<Subscription>, Refusal> {
        let asked = (address.tenant, address.name.clone());
        if !self.read.contains_key(&asked) {
            if let Some(copy) = self.intake.subscriptions.copy(address.tenant, &address.name).await
                && check(self, &copy).is_ok()
            {
                return Ok(copy);
            }
            let read = self.intake.subscriptions.read(address.tenant, &address.name).await?;
            self.read.insert(asked.clone(), read);
        }
        let subscription = self.read.get(&asked).cloned().flatten().ok_or(Refusal::NotFound)?;
        check(self, &subscription)?;
        Ok(subscription)
    }

    /// Without a key only the signature grants access, so it is checked before the state is revealed.
    fn check_open(
        &mut self,
        address: &Address,
        subscription: &Subscription,
        body: Option<&Bytes>,
    ) -> Result<(), Refusal> {
        let has_key = address.tenant.is_some();
        if has_key && !subscription.is_active {
            return Err(Refusal::Disabled);
        }
        let Some(headers) = &address.headers else { return Ok(()) };
        if !subscription.verify_ingest {
            return if has_key { Ok(()) } else { Err(InvalidSignature::Missing.into()) };
        }
        subscription.ingest.signed_by(headers)?;
        let Some(body) = body else { return Ok(()) };
        let version = (subscription.id, subscription.version);
        let result = match self.verified {
            Some((verified, result)) if verified == version => result,
            _ => subscription.verify(headers, body, self.intake.clock.now()),
        };
        self.verified = Some((version, result));
        result?;
        self.tenant = Some(subscription.tenant);
        if subscription.is_active { Ok(()) } else { Err(Refusal::Disabled) }
    }

    /// Result of an identical earlier request with the same key.
    async fn earlier(&self, publication: &Publication) -> Result<Option<Accepted>, Refusal> {
        let Some(key) = &publication.key else { return Ok(None) };
        let (tenant, address) = match &publication.to {
            To::All(tenant) => (*tenant, None),
            To::One(Address { tenant: Some(tenant), name, .. }) => {
                match self.intake.subscriptions.resolve(*tenant, name).await? {
                    Some(id) => (*tenant, Some(id)),
                    None => return Ok(None),
                }
            }
            To::One(_) => return Ok(None),
        };
        let owners = self.intake.store.find_keys(&[(tenant, key)]).await?;
        let print = publication.fingerprint(address);
        let same = owners.iter().find(|owner| owner.fingerprint == print.as_bytes());
        Ok(same.map(|owner| Accepted::earlier(owner.event)))
    }

    async fn list(&mut self, tenant: TenantId) -> Result<Arc<SubscriptionList>, Refusal> {
        if let Some(list) = self.lists.get(&tenant) {
            return Ok(Arc::clone(list));
        }
        let list = self.intake.subscriptions.list_of(tenant).await?;
        self.lists.insert(tenant, Arc::clone(&list));
        Ok(list)
    }

    /// Reads again what the event was matched with.
    pub(super) async fn read_again(&mut self, publication: &Publication) -> Result<(), Refusal> {
        match &publication.to {
            To::All(tenant) => self.invalidate(*tenant, &[]),
            To::One(address) => {
                let read = self.intake.subscriptions.read(address.tenant, &address.name).await?;
                self.read.insert((address.tenant, address.name.clone()), read);
            }
        }
        Ok(())
    }

    /// Edited subscriptions got the event by their rows; the next event needs a current list.
    pub(super) fn invalidate_edited(&mut self, publication: &Publication, accepted: Accepted) -> Accepted {
        if let To::All(tenant) = &publication.to
            && !accepted.edited.is_empty()
        {
            self.invalidate(*tenant, &accepted.edited);
        }
        accepted
    }

    fn invalidate(&mut self, tenant: TenantId, ids: &[SubscriptionId]) {
        if let Some(list) = self.lists.get(&tenant) {
            self.intake.subscriptions.invalidate(list, ids);
        }
    }
}
