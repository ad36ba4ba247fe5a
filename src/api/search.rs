//! `/search`: from whatever somebody has in hand to the reason why it did not arrive.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{AllowedForNamed, Support};
use super::docs::Resource;
use super::page::time_of;
use super::page::{self, Cursor, List};
use super::parameter::{Query, Required};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, SearchText};
use crate::domain::api_key::Scope;
use crate::domain::id::{EventId, TenantId};
use crate::store::{Exact, FoundEvents, PayloadSearch};

mod rows;

use rows::Rows;
pub(super) use rows::SearchRow;

/// Shorter texts are in almost every payload.
const LEAST_TEXT: usize = 3;
/// Events of a page that a text finds.
const MAX_EVENTS: usize = 10;
const MAX_REFUSALS: i64 = 20;
/// With what follows it stays below the limit of a statement and of a client's patience.
const PAYLOAD_BUDGET: Duration = Duration::from_millis(800);

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
    /// for up to a second; then `next_cursor` goes on. A page shows at most 10 events, with 20 deliveries each.
    #[oai(path = "/", method = "get", operation_id = "search")]
    async fn search(
        &self,
        caller: AllowedForNamed<Support>,
        /// What to look for.
        q: Required<SearchText>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Search as u8 }>>,
    ) -> Result<Answer<SearchAnswer>, Problem> {
        let SearchText(text) = q.0;
        let search = Search {
            api: &self.0,
            tenant: caller.tenant(),
            text,
            shows_bodies: caller.bearer().scope.allows(Scope::Read),
        };
        search.page(cursor.0.map(|cursor| cursor.0)).await.map(Answer::Value)
    }
}

struct Search<'a> {
    api: &'a Api,
    /// `None` for all.
    tenant: Option<TenantId>,
    text: String,
    shows_bodies: bool,
}

impl Search<'_> {
    async fn page(&self, cursor: Option<Uuid>) -> Result<SearchAnswer, Problem> {
        let mut rows = Rows::new(self.api);
        let mut is_found = false;
        if cursor.is_none() {
            let exact = self.api.store.search_exact(self.tenant, &self.text).await?;
            is_found = !exact.is_empty();
            self.add_exact(&mut rows, exact).await?;
            is_found |= self.add_refusals(&mut rows).await? > 0;
        }
        let is_id = self.text.parse::<EventId>().is_ok();
        let searched_payloads = self.searches_text() && !(is_id && is_found);
        let found = if searched_payloads {
            let before = cursor.unwrap_or(Uuid::max());
            self.payloads(before).await?
        } else {
            FoundEvents::default()
        };
        for (tenant, event) in found.events {
            rows.add_event(tenant, event).await?;
        }
        Ok(SearchAnswer {
            data: rows.into_data(),
            next_cursor: found.examined_to.map(|id| page::cursor_after(List::Search, id)),
            examined_to: found.examined_to.and_then(time_of),
            searched_payloads,
        })
    }

    fn searches_text(&self) -> bool {
        self.shows_bodies && self.text.chars().count() >= LEAST_TEXT
    }

    async fn payloads(&self, before: Uuid) -> Result<FoundEvents, Problem> {
        let search = PayloadSearch {
            tenant: self.tenant,
            text: &self.text,
            from: Uuid::nil(),
            before,
            most: i32::try_from(MAX_EVENTS).unwrap_or(i32::MAX),
            budget: PAYLOAD_BUDGET,
        };
        Ok(self.api.store.search_payloads(&search).await?)
    }

    async fn add_exact(&self, rows: &mut Rows<'_>, exact: Vec<Exact>) -> Result<(), Problem> {
        let events: Vec<_> = exact.iter().filter_map(|exact| Some((exact.tenant, exact.event?))).collect();
        exact.into_iter().filter(|exact| exact.kind != "event").for_each(|exact| rows.add_exact(exact));
        for (tenant, event) in events {
            rows.add_event(tenant, event).await?;
        }
        Ok(())
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
