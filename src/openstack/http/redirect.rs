//! Where a redirect leads, if it may be followed.

use reqwest::header::LOCATION;
use url::Url;

use super::answer::Response;
use crate::openstack::error::{Error, Kind, Result};

/// The token goes along with the request, so only to the same origin.
pub(super) fn target(from: &Url, response: &Response) -> Result<Url> {
    let garbage = |text: &str| Error::from(Kind::Garbage(text.to_owned()));
    let location =
        response.header(LOCATION.as_str()).ok_or_else(|| garbage("it redirects without saying where to"))?;
    let target = from.join(location).map_err(|_| garbage("it redirects to something that is no URL"))?;
    if target.origin() == from.origin() {
        Ok(target)
    } else {
        Err(Error::from(Kind::Garbage(format!(
            "it redirects to another server, {}, which is not given the token; \
             does the service behind its proxy know its own public address?",
            target.origin().ascii_serialization()
        ))))
    }
}
