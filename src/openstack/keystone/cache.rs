//! Tokens that are still good: one per credentials, fetched once however many ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use crate::openstack::credentials::{Credentials, Session, Trustee};
use crate::openstack::error::{Kind, Result};
use crate::openstack::http::Deadline;

/// How many tokens are held: enough for the bays that a worker looks after at once.
const CAPACITY: usize = 1024;

/// A token is replaced this long before it ends, or after three quarters of a shorter life.
const MARGIN: Duration = Duration::from_secs(60);

/// Names credentials without holding their secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Token([u8; 32]),
    Service(Option<String>),
    Trust { trust_id: String, trustee: (String, [u8; 32]) },
    Trustee((String, [u8; 32])),
    DomainAdmin,
}

impl From<&Credentials> for Key {
    fn from(credentials: &Credentials) -> Self {
        let hash = |secret: &secrecy::SecretString| Sha256::digest(secret.expose_secret()).into();
        let who = |trustee: &Trustee| (trustee.user_id.clone(), hash(&trustee.password));
        match credentials {
            Credentials::Token(token) => Self::Token(hash(token)),
            Credentials::Service { project_id } => Self::Service(project_id.clone()),
            Credentials::Trust { trustee, trust_id } => {
                Self::Trust { trust_id: trust_id.clone(), trustee: who(trustee) }
            }
            Credentials::TrusteeUnscoped(trustee) => Self::Trustee(who(trustee)),
            Credentials::DomainAdmin => Self::DomainAdmin,
        }
    }
}

struct Held {
    session: Session,
    good_until: Instant,
}

struct Place {
    /// Locked while a token is being fetched, so that others wait for that one.
    slot: Arc<AsyncMutex<Option<Held>>>,
    used: Instant,
}

pub(super) struct Cache {
    places: Mutex<HashMap<Key, Place>>,
    /// How long what was learnt of a caller's token is believed.
    trusted_for: Duration,
}

impl Cache {
    pub(super) fn new(trusted_for: Duration) -> Self {
        Self { places: Mutex::default(), trusted_for }
    }

    /// The token held for these credentials, or the one that `fetch` brings.
    pub(super) async fn get_or_fetch<F: Future<Output = Result<Session>>>(
        &self,
        credentials: &Credentials,
        deadline: Deadline,
        fetch: impl FnOnce() -> F,
    ) -> Result<Session> {
        let slot = self.slot(Key::from(credentials));
        let mut held = tokio::time::timeout_at(deadline.instant(), slot.lock())
            .await
            .map_err(|_| Kind::Timeout { sent: false })?;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.good_until) {
            return Ok(held.session.clone());
        }
        *held = None;
        let session = fetch().await?;
        let good_until = Instant::now() + self.lifetime(credentials, &session);
        *held = Some(Held { session: session.clone(), good_until });
        Ok(session)
    }

    /// Drops a token that was refused, unless another one has taken its place meanwhile.
    pub(super) async fn forget(&self, credentials: &Credentials, refused: &Session, deadline: Deadline) {
        let slot = self.slot(Key::from(credentials));
        // Whoever holds the lock may be fetching a newer one.
        let Ok(mut held) = tokio::time::timeout_at(deadline.instant(), slot.lock()).await else { return };
        let same = |held: &Held| held.session.token.expose_secret() == refused.token.expose_secret();
        if held.as_ref().is_some_and(same) {
            *held = None;
        }
    }

    fn slot(&self, key: Key) -> Arc<AsyncMutex<Option<Held>>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if places.len() >= CAPACITY && !places.contains_key(&key) {
            let oldest = places.iter().min_by_key(|(_, place)| place.used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                places.remove(&oldest);
            }
        }
        let place = places.entry(key).or_insert_with(|| Place { slot: Arc::default(), used: now });
        place.used = now;
        Arc::clone(&place.slot)
    }

    fn lifetime(&self, credentials: &Credentials, session: &Session) -> Duration {
        let left =
            Duration::try_from(session.expires_at - OffsetDateTime::now_utc()).unwrap_or(Duration::ZERO);
        let good = left.saturating_sub(MARGIN).max(left * 3 / 4);
        let good = good.min(left);
        if matches!(credentials, Credentials::Token(_)) { good.min(self.trusted_for) } else { good }
    }
}
