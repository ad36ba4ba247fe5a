//! Subscriptions where a request names one, in its path, its query or its body: by their id, or by the external id that their owner gave them.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};

use super::Api;
use super::problem::Problem;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{SubscriptionId, TenantId};

/// What a request says of a subscription: a UUID in its hyphenated form, or an external id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubscriptionPath(pub(super) SubscriptionName);

impl Api {
    /// The id of the subscription that a path of this tenant names. That of an id is taken at
    /// its word: whoever uses it finds out.
    ///
    /// # Errors
    /// [`Problem::SubscriptionNotFound`] where nothing has this external id.
    pub(super) async fn subscription_id(
        &self,
        tenant: TenantId,
        path: &SubscriptionPath,
    ) -> Result<SubscriptionId, Problem> {
        self.subscriptions.resolve(tenant, &path.0).await?.ok_or(Problem::SubscriptionNotFound)
    }

    /// The same where a request may name one.
    ///
    /// # Errors
    /// As [`Self::subscription_id`].
    pub(super) async fn asked_subscription(
        &self,
        tenant: TenantId,
        path: Option<&SubscriptionPath>,
    ) -> Result<Option<SubscriptionId>, Problem> {
        match path {
            Some(path) => self.subscription_id(tenant, path).await.map(Some),
            None => Ok(None),
        }
    }
}

impl ParseFromParameter for SubscriptionPath {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        text.parse().map(Self).map_err(ParseError::custom)
    }
}

impl Type for SubscriptionPath {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_subscription".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}
