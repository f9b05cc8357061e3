//! What nodes of one generation need so that they and those of the generations before trust each other.
//!
//! A running node keeps the authority and the certificate that it was built with. So newer nodes trust the older
//! authorities beside their own, and serve with a chain that leads to them.

use crate::bay::secrets::{Generation, NodeTexts};
use crate::certificate::is_expired;
use crate::operation::step::{Scene, StepError};

use super::refused;

/// How much of the past a node is told, in bytes: Nova takes 64 KiB of user data, in base64. `tests/it/node_scripts.rs`
/// shows that this much fits.
const LONGEST: usize = 10_000;

/// What a generation is told of those before it; see [`NodeTexts`].
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) older: Vec<String>,
    pub(super) crosses: Vec<String>,
}

/// What the successor of a generation, with this authority, is told.
pub(super) async fn past(
    scene: &Scene<'_>,
    before: &Generation,
    ca_certificate: &str,
) -> Result<Past, StepError> {
    let Some(node) = &before.node else { return Ok(Past::default()) };
    let cross = cross(scene, before, ca_certificate).await?;
    if let Err(reason) = &cross {
        tracing::warn!(reason, "the nodes there are will not trust those to come");
    }
    let (past, left_out) = Past::of(node, cross.ok());
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "nodes with the oldest authorities and those to come will not trust each other"
        );
    }
    Ok(past)
}

/// The new authority's certificate by the one before it, or why there can be none.
async fn cross(
    scene: &Scene<'_>,
    before: &Generation,
    ca_certificate: &str,
) -> Result<Result<String, String>, StepError> {
    let Some(reference) = &before.ca_ref else {
        return Ok(Err("it is not known where the authority is".into()));
    };
    let pair = match scene.certificates.get(reference, scene.budget()).await {
        Ok(Some(pair)) => pair,
        Ok(None) => return Ok(Err("the authority is not where it was kept".into())),
        Err(error) if error.is_retryable() => return Err(refused(&error)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let signed = scene.forge.cross(pair, ca_certificate.to_owned()).await;
    Ok(signed.map_err(|error| error.to_string()))
}

impl Past {
    /// With how many authorities were left out although they are good. What is out of date serves nobody any more.
    fn of(before: &NodeTexts, cross: Option<String>) -> (Self, usize) {
        let older = std::iter::once(&before.ca_certificate).chain(&before.older);
        let mut older: Vec<_> = older.filter(|text| !is_expired(text)).cloned().collect();
        // Without the first, the others lead nowhere.
        let crosses = cross.map(|first| std::iter::once(first).chain(before.crosses.iter().cloned()));
        let crosses = crosses.into_iter().flatten();
        let mut crosses: Vec<_> = crosses.take_while(|text| !is_expired(text)).collect();
        let mut left_out = 0;
        while older.iter().chain(&crosses).map(String::len).sum::<usize>() > LONGEST {
            older.pop();
            crosses.truncate(older.len());
            left_out += 1;
        }
        (Self { older, crosses }, left_out)
    }
}

#[cfg(test)]
mod tests;
