//! Who gets what a replay by filter has found.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::wish::{Wish, recipients};
use super::{Pair, Plan};
use crate::domain::filter::Filter;
use crate::domain::id::{EventId, TenantId};
use crate::store::connection::Param;
use crate::store::{Store, StoreError, sql};

impl Store {
    /// The subscriptions that can get something, with what they want.
    pub(super) async fn living(&self, plan: &Plan) -> Result<BTreeMap<Uuid, Wish>, StoreError> {
        let only = recipients(&plan.only);
        let rows = self.all_subscriptions(plan.tenant).await?.living.into_iter();
        let rows = rows.filter(|row| only.as_ref().is_none_or(|only| only.contains(&row.id.uuid())));
        rows.map(|row| Ok((row.id.uuid(), Wish::of(&row)?))).collect()
    }

    /// The deliveries that these give: the same, or one of each event to each subscription that wants it now and has
    /// none that waits or succeeded.
    pub(super) async fn chosen_pairs(
        &self,
        plan: &Plan,
        living: &BTreeMap<Uuid, Wish>,
        pairs: &[Pair],
    ) -> Result<Vec<Pair>, StoreError> {
        if !plan.is_to_matching {
            return Ok(pairs.iter().copied().filter(|(_, subscription)| living.contains_key(subscription)).collect());
        }
        let mut events: Vec<Uuid> = pairs.iter().map(|(event, _)| *event).collect();
        events.dedup();
        let tenant = plan.tenant.uuid();
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&events, Type::UUID_ARRAY)];
        let facts = self.interactive().await?.query(&sql::EVENT_TYPES_OF, &params).await?;
        let (mut wanted, mut undecided) = (Vec::new(), BTreeMap::new());
        for fact in &facts {
            let (event, event_type): (Uuid, Option<&str>) = (fact.try_get("id")?, fact.try_get("event_type")?);
            let event_type = event_type.and_then(|text| text.parse().ok());
            for (subscription, wish) in living.iter().filter(|(_, wish)| wish.types.check(event_type.as_ref()).is_ok())
            {
                match &wish.filter {
                    None => wanted.push((event, *subscription)),
                    Some(filter) => undecided.entry(event).or_insert_with(Vec::new).push((*subscription, filter)),
                }
            }
        }
        self.judge(plan.tenant, undecided, &mut wanted).await?;
        let (wanted_events, wanted_by): (Vec<Uuid>, Vec<Uuid>) = wanted.into_iter().unzip();
        let params: [Param<'_>; 3] =
            [(&tenant, Type::UUID), (&wanted_events, Type::UUID_ARRAY), (&wanted_by, Type::UUID_ARRAY)];
        let rows = self.interactive().await?.query(&sql::LACKING_DELIVERIES, &params).await?;
        rows.iter().map(|row| Ok((row.try_get("event_id")?, row.try_get("subscription_id")?))).collect()
    }

    /// Adds the pairs whose filters the payloads meet; reads some megabytes at a time.
    async fn judge(
        &self,
        tenant: TenantId,
        mut undecided: BTreeMap<Uuid, Vec<(Uuid, &Filter)>>,
        wanted: &mut Vec<Pair>,
    ) -> Result<(), StoreError> {
        while !undecided.is_empty() {
            let events: Vec<EventId> = undecided.keys().map(|event| EventId::new(*event)).collect();
            let payloads = self.payloads(tenant, &events).await?;
            // The others are gone.
            if payloads.is_empty() {
                break;
            }
            for payload in payloads {
                let (event, mut judge) = (payload.event.uuid(), payload.judge());
                let takers = undecided.remove(&event).unwrap_or_default();
                let meeting = takers.into_iter().filter(|(_, filter)| judge.matches(filter));
                wanted.extend(meeting.map(|(subscription, _)| (event, subscription)));
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}
