//! Where a delivery is, in the model and in the tables.

use std::collections::BTreeMap;

use postrider::domain::delivery::DeliveryKey;
use postrider::domain::id::LeaseToken;
use uuid::Uuid;

use crate::support::rig::Rig;

/// Where a delivery is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Not accepted yet.
    Unborn,
    Queued {
        is_due: bool,
    },
    Leased {
        token: Uuid,
        is_lapsed: bool,
    },
    /// Behind others of its ordering group.
    Ordered,
    Ended(&'static str),
    /// Its end has gone with its event.
    Forgotten,
}

/// A delivery as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) at: Whereabouts,
    /// Attempts that the row counts.
    pub(super) counted: i64,
    /// Rows in the log.
    pub(super) logged: i64,
    /// Whether its event is of a day past retention.
    pub(super) is_old: bool,
    /// Whether it was cancelled while it was leased.
    pub(super) is_stopped: bool,
}

/// A delivery as it stands in the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    lease: Option<Uuid>,
    is_ordered: bool,
    is_due: bool,
    is_pending: bool,
    counted: i64,
    logged: i64,
    ended: Option<String>,
    has_event: bool,
    is_stopped: bool,
}

const TABLES: &str = "
    with known as (
        select tenant_id, event_id, subscription_id from deliveries
        union
        select tenant_id, event_id, subscription_id from undelivered
        union
        select tenant_id, event_id, subscription_id from attempts
    )
    select
        k.tenant_id, k.event_id, k.subscription_id,
        d.lease, coalesce(d.next_attempt_at = 'infinity', false), coalesce(d.next_attempt_at <= now(), false), d.event_id is not null,
        coalesce(d.attempts, 0)::bigint,
        (select count(*) from attempts as a where a.event_id = k.event_id and a.subscription_id = k.subscription_id),
        coalesce(u.status, (
            select 'succeeded' from attempts as a
            where a.event_id = k.event_id and a.subscription_id = k.subscription_id and a.outcome = 'delivered'
            limit 1
        )),
        exists (select 1 from events as e where e.tenant_id = k.tenant_id and e.id = k.event_id),
        coalesce(d.expires_at = '-infinity', false)
    from known as k
    left join deliveries as d on (d.event_id, d.subscription_id) = (k.event_id, k.subscription_id)
    left join undelivered as u on (u.event_id, u.subscription_id) = (k.event_id, k.subscription_id)";

/// Every delivery that any table knows.
pub(super) async fn observe(rig: &Rig) -> BTreeMap<DeliveryKey, Observed> {
    let rows = rig.client.query(TABLES, &[]).await.unwrap();
    let observed = rows.iter().map(|row| {
        let id = |index: usize| row.get::<_, Uuid>(index);
        let key = DeliveryKey { event: id(1).into(), subscription: id(2).into(), tenant: id(0).into() };
        let observed = Observed {
            lease: row.get(3),
            is_ordered: row.get(4),
            is_due: row.get(5),
            is_pending: row.get(6),
            counted: row.get(7),
            logged: row.get(8),
            ended: row.get(9),
            has_event: row.get(10),
            is_stopped: row.get(11),
        };
        (key, observed)
    });
    observed.collect()
}

impl State {
    pub(super) fn unborn() -> Self {
        Self { at: Whereabouts::Unborn, counted: 0, logged: 0, is_old: false, is_stopped: false }
    }

    /// The same delivery elsewhere, with these changes of what is counted and logged.
    pub(super) fn moved(&self, at: Whereabouts, counted: i64, logged: i64) -> Self {
        Self { at, counted: self.counted + counted, logged: self.logged + logged, ..self.clone() }
    }

    pub(super) fn fall_due(&mut self) {
        if let Whereabouts::Queued { is_due } = &mut self.at {
            *is_due = true;
        }
    }

    pub(super) fn lapse(&mut self) {
        if let Whereabouts::Leased { is_lapsed, .. } = &mut self.at {
            *is_lapsed = true;
        }
    }

    /// Whether a take may lease it, of lapsed leases too.
    pub(super) fn is_takable(&self) -> bool {
        matches!(self.at, Whereabouts::Queued { is_due: true } | Whereabouts::Leased { is_lapsed: true, .. })
    }

    /// Whether its lease has lapsed.
    pub(super) fn is_lapsed(&self) -> bool {
        matches!(self.at, Whereabouts::Leased { is_lapsed: true, .. })
    }

    pub(super) fn is_leased_to(&self, token: LeaseToken) -> bool {
        matches!(self.at, Whereabouts::Leased { token: held, .. } if held == token.uuid())
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.at, Whereabouts::Ended(_) | Whereabouts::Forgotten)
    }

    /// Whether the tables show this; after retention, what has ended of an old event may be gone.
    pub(super) fn looks_like(&self, seen: Option<&Observed>, retained: bool) -> bool {
        let Some(seen) = seen else {
            let may_go = self.is_old && retained && self.is_ended();
            return may_go || self.at == Whereabouts::Forgotten || self.at == Whereabouts::Unborn;
        };
        let place = match &self.at {
            Whereabouts::Unborn => false,
            Whereabouts::Queued { is_due } => {
                seen.is_pending && seen.lease.is_none() && !seen.is_ordered && seen.is_due == *is_due
            }
            Whereabouts::Leased { token, .. } => seen.is_pending && seen.lease == Some(*token),
            Whereabouts::Ordered => seen.is_pending && seen.is_ordered,
            Whereabouts::Ended(status) => !seen.is_pending && seen.ended.as_deref() == Some(status),
            Whereabouts::Forgotten => !seen.is_pending,
        };
        // A success of an old event is its attempt, which may outlive it or go with it.
        let forgotten = self.is_old && self.is_ended() && !seen.is_pending && !seen.has_event;
        let counted = !seen.is_pending || (seen.counted == self.counted && seen.is_stopped == self.is_stopped);
        let has_event = seen.has_event || !seen.is_pending;
        has_event && (forgotten || (place && counted && seen.logged == self.logged))
    }

    /// This state, or the end of all knowledge of it.
    pub(super) fn seen_as(&self, seen: Option<&Observed>) -> Self {
        let gone = seen.is_none_or(|seen| !seen.has_event) && self.is_ended();
        if gone { self.moved(Whereabouts::Forgotten, 0, 0) } else { self.clone() }
    }
}
