//! `/attempts`: every attempt, whatever its subscription, and each in full.

use std::sync::Arc;

use poem_openapi::OpenApi;
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, Support};
use super::docs::Resource;
use super::parameter::Path;
use super::payload::Answer;
use super::problem::Problem;

mod codes;
mod full;
mod list;
mod row;

pub(super) use codes::StatusCodes;
pub(super) use full::AttemptAnswer;
pub(super) use list::{FoundAttempts, FoundAttemptsApi, page, succeeded};
pub(super) use row::shows_bodies;

pub(super) struct AttemptsApi(pub(super) Arc<Api>);

#[OpenApi(prefix_path = "/attempts", tag = "Resource::Attempts")]
impl AttemptsApi {
    /// Read an attempt in full
    ///
    /// The row of the log, why the attempt was made, both heads, and the parts of its duration. Signatures and the
    /// subscription's own header values are masked. What POSTRIDER_ATTEMPT_DETAIL does not keep is null. Also of a
    /// deleted subscription, until retention drops it. The scope `support` gets no response body.
    #[oai(path = "/:attempt_id", method = "get", operation_id = "read_attempt")]
    async fn read(
        &self,
        caller: Allowed<Support>,
        /// The attempt.
        attempt_id: Path<Uuid>,
    ) -> Result<Answer<AttemptAnswer>, Problem> {
        let found = self.0.store.read_attempt(caller.tenant, attempt_id.0.into()).await?;
        let (row, detail) = found.ok_or(Problem::AttemptNotFound)?;
        Ok(Answer::Value(AttemptAnswer::of(row, detail, shows_bodies(caller.bearer))))
    }
}
