//! Where keys are made and used: off the async threads, and no more at once than there are processors, so that a
//! crowd of new bays does not take them from everything else.

use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::issue::authority_name;
use super::{Authority, Error, NewPair, Node, Pair, PrivateKey, Rules};
use crate::bay::Bay;

/// Makes keys and certificates. Clones share the limit.
#[derive(Debug, Clone)]
pub struct Forge {
    rules: Arc<Rules>,
    key_size: usize,
    at_once: Arc<Semaphore>,
}

impl Forge {
    /// `key_size` in bits.
    pub fn new(rules: Rules, key_size: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, Into::into);
        Self { rules: Arc::new(rules), key_size, at_once: Arc::new(Semaphore::new(processors)) }
    }

    /// As many new RSA keys, made beside each other.
    pub async fn keys(&self, count: usize) -> Result<Vec<NewPair>, Error> {
        let bits = self.key_size;
        try_join_all((0..count).map(|_| self.run(move || PrivateKey::generate(bits)))).await
    }

    /// A new authority for a bay; the successor of another has the uuid that its pair is kept under.
    pub async fn authority(
        &self,
        bay: &Bay,
        successor: Option<Uuid>,
        key: NewPair,
    ) -> Result<(Authority, Pair), Error> {
        let name = authority_name(bay.uuid, bay.name.as_deref(), successor);
        let days = self.rules.valid_for;
        self.run(move || Authority::create(key, &name, days)).await
    }

    /// An authority that was kept.
    pub async fn open(&self, pair: Pair) -> Result<Authority, Error> {
        let days = self.rules.valid_for;
        self.run(move || Authority::open(&pair, days)).await
    }

    /// The certificate of an authority as another one, which was kept, signs it.
    pub async fn cross(&self, pair: Pair, other: String) -> Result<String, Error> {
        let days = self.rules.valid_for;
        self.run(move || Authority::open(&pair, days)?.cross(&other)).await
    }

    /// What the conductor and the nodes of a bay show to each other.
    pub async fn client(&self, authority: Authority, key: NewPair) -> Result<(Authority, Pair), Error> {
        self.run(move || authority.client(key).map(|pair| (authority, pair))).await
    }

    /// What the nodes of a bay show.
    pub async fn node(&self, authority: Authority, key: NewPair, name: String) -> Result<Node, Error> {
        self.run(move || authority.node(key, &name)).await
    }

    /// The certificate that a request is given by an authority that was kept.
    pub async fn sign(&self, pair: Pair, request: String) -> Result<String, Error> {
        let rules = Arc::clone(&self.rules);
        self.run(move || Authority::open(&pair, rules.valid_for)?.sign_request(&request, &rules)).await
    }

    async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.at_once).acquire_owned().await;
        let permit = permit.expect("nobody closes the semaphore");
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.unwrap_or_else(|error| Err(Error::unusable("a certificate could not be made", error)))
    }
}
