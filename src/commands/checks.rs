//! What every command checks first: names, values, master keys.

use super::{Failure, master_keys, starting};
use crate::config::{Config, InvalidSetting, InvalidSettings, Profile, Settings};
use crate::store::Store;
use crate::subscriptions::check_redis_url;

/// Unknown names are probably mistakes: a warning each, or a refusal with `POSTRIDER_STRICT`.
pub(super) fn check_names(settings: &Settings) -> Result<(), Failure> {
    let unknown: Vec<String> = settings.unknown().iter().map(ToString::to_string).collect();
    if !unknown.is_empty() && settings.is_strict()? {
        return Err(Failure::new(format!("POSTRIDER_STRICT: {}", unknown.join("; "))));
    }
    unknown.iter().for_each(|unknown| tracing::warn!("{unknown}"));
    Ok(())
}

/// Everything that is wrong with the settings, the URLs included.
pub(super) fn resolve(settings: &Settings, profile: Profile) -> Result<Config, InvalidSettings> {
    let resolved = settings.resolve(profile);
    let database = settings.database().ok().and_then(|database| starting::store(&database).err());
    let redis = settings.redis_url().and_then(|url| check_redis_url(&url).err());
    let unusable: Vec<InvalidSetting> =
        [database.map(|failure| failure.to_string()), redis.map(|rule| format!("REDIS_URL: {rule}"))]
            .into_iter()
            .flatten()
            .map(InvalidSetting::Unusable)
            .collect();
    match resolved {
        Ok(config) if unusable.is_empty() => Ok(config),
        Ok(_) => Err(InvalidSettings(unusable)),
        Err(InvalidSettings(invalid)) => Err(InvalidSettings(invalid.into_iter().chain(unusable).collect())),
    }
}

/// For commands that need only the database. Compares the master keys if there are any.
pub(super) async fn open(settings: &Settings) -> Result<Store, Failure> {
    let store = starting::store(&settings.database()?)?.patient();
    if let Some(keyring) = settings.keyring() {
        master_keys::check(&store, &keyring, settings.is_strict()?).await?;
    }
    Ok(store)
}
