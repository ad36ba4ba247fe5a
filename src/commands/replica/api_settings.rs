//! What the API needs of the settings.

use std::sync::Arc;

use crate::api::{ApiSettings, OperationsSettings, PortalSettings, ShownSetting};
use crate::config::{AuthMode, Config};
use crate::domain::target::TargetPolicy;

/// `shown`: what operators may see of the settings.
pub(super) fn api_settings(config: &Config, targets: TargetPolicy, shown: Arc<[ShownSetting]>) -> ApiSettings {
    let public_url = config.portal.public_url.clone();
    ApiSettings {
        auth_required: config.auth == AuthMode::Keys,
        max_payload_bytes: config.max_payload_bytes,
        max_batch_bytes: config.max_batch_bytes,
        max_request_bytes: config.max_request_bytes(),
        max_connections: config.max_connections,
        max_streams: config.max_streams.min(config.max_connections / 2).max(1),
        max_subscriptions: config.max_subscriptions,
        delivery_lifetime: config.delivery_lifetime,
        log_retention: config.log_retention.min(config.payload_retention),
        targets: Arc::new(targets),
        public_url: public_url.clone().unwrap_or_else(|| format!("http://localhost:{}", config.listen.port())),
        portal: PortalSettings {
            public_url,
            origins: config.portal.origins.clone(),
            max_age: config.portal.max_age,
            max_sessions: config.portal.max_sessions,
        },
        operations: OperationsSettings {
            payload_retention: config.payload_retention,
            log_retention: config.log_retention,
            settings: shown,
        },
    }
}
