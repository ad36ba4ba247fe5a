//! `/search`: from whatever somebody has in hand to the reason why it did not arrive.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Api;
use super::access::{AllowedForNamed, Support};
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List, time_of};
use super::parameter::{Query, Required};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, SearchText};
use crate::domain::id::{EventId, TenantId};
use crate::store::{Common, EventSearch, FoundEvent, FoundEvents, Named, PayloadSearch, Searched, as_id};

mod rows;

pub(super) use rows::SearchRow;
use rows::{Excess, Rows};

/// Shorter texts are in almost every payload.
const LEAST_TEXT: usize = 3;
/// Events of a page that a text finds.
const MAX_EVENTS: usize = 10;
const MAX_REFUSALS: i64 = 20;
/// With what follows it stays below the limit of a statement and of a client's patience.
const PAYLOAD_BUDGET: Duration = Duration::from_millis(800);

/// The bits of an id that are its time in milliseconds.
const MILLISECOND: u128 = u128::MAX << 80;

/// The resource.
pub(super) struct SearchApi(pub(super) Arc<Api>);

/// What a text leads to.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SearchAnswer {
    /// Exact hits first; each event is followed by its deliveries, and by the subscriptions that did not get it.
    data: Vec<SearchRow>,
    /// Goes on with older payloads; null if all were searched.
    next_cursor: Option<String>,
    /// Payloads of all later events were searched; null if all were, or none.
    examined_to: Option<Moment>,
    /// Whether the page had no room or no time left for further exact hits, or for deliveries of its events, which
    /// `GET /events/{webhook_id}` has. No later page has them.
    rows_missing: bool,
    /// Whether payloads were searched: not for texts of fewer than 3 characters, for an id that was found, and with the
    /// scope `support`.
    searched_payloads: bool,
}

#[OpenApi(prefix_path = "/search", tag = "Resource::Search")]
impl SearchApi {
    /// Find an event, and why it did not arrive
    ///
    /// `q` is an id (event, attempt, subscription, tenant, refusal, replay, or a key that was refused), an external id,
    /// an idempotency or ordering key, or a text of a payload or of the first 512 bytes of a refused request, such as
    /// an order number. Ids, external ids and keys have to be whole. Texts are compared as bytes, newest payload first,
    /// for up to a second; then `next_cursor` goes on. A page shows at most 10 events, with 20 deliveries each, as many as
    /// it can read in a second. What `postrider.publish()` was called for is found from the commit on: it is
    /// `not_published_yet` until a replica publishes it.
    #[oai(path = "/", method = "get", operation_id = "search")]
    async fn search(
        &self,
        caller: AllowedForNamed<Support>,
        /// What to look for.
        q: Required<SearchText>,
        /// Rows per page. An event comes with its deliveries, or on the next page. With `*` as the tenant a page may be
        /// longer, by events that were accepted in the same millisecond, and an event from SQL that is accepted between two
        /// pages may be on neither.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Search as u8 }>>,
    ) -> Result<Answer<SearchAnswer>, Problem> {
        let SearchText(text) = q.0;
        let search = Search {
            api: &self.0,
            tenant: caller.tenant(),
            text,
            limit: page::limit(&limit),
            shows_refusals: !caller.bearer().grant.is_portal(),
            shows_bodies: caller.bearer().grant.shows_bodies(),
        };
        search.page(cursor.0.map(|cursor| cursor.0)).await.map(Answer::Value)
    }
}

/// An event whose payload has the text.
enum Hit {
    Event(TenantId, EventId),
    Waiting(FoundEvent),
}

struct Search<'a> {
    api: &'a Api,
    /// `None` for all.
    tenant: Option<TenantId>,
    text: String,
    limit: usize,
    /// A producer's requests are not for a customer's eyes.
    shows_refusals: bool,
    shows_bodies: bool,
}

impl Search<'_> {
    async fn page(&self, cursor: Option<Uuid>) -> Result<SearchAnswer, Problem> {
        let mut rows = Rows::new(self.api, self.limit);
        let mut is_found = false;
        if cursor.is_none() {
            is_found |= self.add_exact(&mut rows).await? > 0;
            if self.shows_refusals {
                is_found |= self.add_refusals(&mut rows).await? > 0;
            }
        }
        let is_id = as_id(&self.text).is_some();
        let searched_payloads = self.searches_text() && !(is_id && is_found);
        let mut examined_to = None;
        if searched_payloads {
            examined_to = self.add_payloads(&mut rows, cursor.unwrap_or(Uuid::max())).await?;
        }
        let (data, rows_missing) = rows.into_data();
        Ok(SearchAnswer {
            data,
            next_cursor: examined_to.map(|id| page::cursor_after(List::Search, id)),
            examined_to: examined_to.and_then(time_of),
            rows_missing,
            searched_payloads,
        })
    }

    fn searches_text(&self) -> bool {
        self.shows_bodies && self.text.chars().count() >= LEAST_TEXT
    }

    /// Returns where to go on.
    async fn add_payloads(&self, rows: &mut Rows<'_>, before: Uuid) -> Result<Option<Uuid>, Problem> {
        if rows.is_full() {
            return Ok(Some(before));
        }
        let most = MAX_EVENTS.min(self.limit);
        // First what waits: a row that is published in between is found twice, and never missed.
        let waiting = self.waiting(before, most).await?;
        let is_cut = waiting.rows.len() >= most;
        let waiting_to = waiting.examined_to.or_else(|| waiting.rows.last().filter(|_| is_cut).map(|row| row.id));
        let found = self.payloads(waiting_to.unwrap_or_default(), before, most).await?;
        let examined_to = waiting_to.max(found.examined_to);
        let mut hits: Vec<(Uuid, Hit)> = waiting.rows.into_iter().map(|row| (row.id, Hit::Waiting(row))).collect();
        hits.extend(
            found.events.into_iter().map(|(tenant, event, at)| (self.place(event, at), Hit::Event(tenant, event))),
        );
        hits.retain(|(place, _)| examined_to.is_none_or(|examined| *place >= examined));
        hits.sort_by_key(|(place, _)| Reverse(*place));
        let mut reached = before;
        for (place, hit) in hits {
            // What has the same place has to be on the same page.
            let excess = if place < reached { Excess::NextPage } else { Excess::OnlyDeliveries };
            let is_told = match hit {
                Hit::Event(tenant, event) => rows.add_event(tenant, event, excess).await?,
                Hit::Waiting(row) => rows.add_waiting(row, excess),
            };
            if !is_told {
                return Ok(Some(reached));
            }
            reached = place;
        }
        Ok(examined_to)
    }

    /// The cursor after this event: of one tenant its id; of all the last id of the millisecond in which it was accepted,
    /// since no index has their ids in order.
    fn place(&self, event: EventId, accepted_at: OffsetDateTime) -> Uuid {
        match self.tenant {
            Some(_) => event.uuid(),
            None => Uuid::from_u128(EventId::lower_bound(accepted_at).uuid().as_u128() | !MILLISECOND),
        }
    }

    async fn waiting(&self, before: Uuid, most: usize) -> Result<Searched<FoundEvent, Uuid>, Problem> {
        let search = EventSearch {
            tenant: self.tenant,
            common: Common::default(),
            idempotency_keys: Vec::new(),
            ordering_keys: Vec::new(),
            payload: Some(self.text.as_bytes().to_vec()),
            before,
            limit: i64::try_from(most).unwrap_or(i64::MAX),
        };
        Ok(self.api.store.search_waiting(&search).await?)
    }

    /// Down to the millisecond of `from`.
    async fn payloads(&self, from: Uuid, before: Uuid, most: usize) -> Result<FoundEvents, Problem> {
        let search = PayloadSearch {
            tenant: self.tenant,
            text: &self.text,
            from: Uuid::from_u128(from.as_u128() & MILLISECOND),
            before,
            most: i32::try_from(most).unwrap_or(i32::MAX),
            budget: PAYLOAD_BUDGET,
        };
        Ok(self.api.store.search_payloads(&search).await?)
    }

    /// What has this id, external id or key. Returns how many.
    async fn add_exact(&self, rows: &mut Rows<'_>) -> Result<usize, Problem> {
        let most = i64::try_from(MAX_EVENTS).unwrap_or(i64::MAX);
        let mut named = self.api.store.search_named_in_outbox(self.tenant, &self.text, most + 1).await?;
        if named.len() > MAX_EVENTS {
            named.truncate(MAX_EVENTS);
            rows.lack();
        }
        let exact = self.api.store.search_exact(self.tenant, &self.text).await?;
        let count = named.len() + exact.len();
        let mut events: Vec<_> = exact.iter().filter_map(|exact| Some((exact.tenant, exact.event?))).collect();
        exact.into_iter().filter(|exact| exact.kind != "event").for_each(|exact| rows.add_exact(exact));
        let mut waiting = Vec::new();
        for named in named {
            match named {
                Named::Event(tenant, event) => events.push((tenant, event)),
                Named::Waiting(row) => waiting.push(row),
            }
        }
        for (tenant, event) in events {
            rows.add_event(tenant, event, Excess::Cut).await?;
        }
        for row in waiting {
            rows.add_waiting(row, Excess::Cut);
        }
        Ok(count)
    }

    async fn add_refusals(&self, rows: &mut Rows<'_>) -> Result<usize, Problem> {
        self.api.refusals.flush().await;
        let store = &self.api.store;
        let refusals = store.search_refusals(self.tenant, &self.text, self.searches_text(), MAX_REFUSALS).await?;
        let calls = store.search_outbox(self.tenant, &self.text, self.searches_text(), MAX_REFUSALS).await?;
        let count = refusals.len() + calls.len();
        refusals.into_iter().for_each(|refusal| rows.add_refusal(refusal));
        calls.into_iter().for_each(|call| rows.add_refused_call(call));
        Ok(count)
    }
}
