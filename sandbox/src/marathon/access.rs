//! Who may ask: the check comes before everything else, as the real one's does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config::Access;
use super::error::Error;

impl Access {
    /// Lets a request pass by its `Authorization` header, or says how it is refused.
    pub(crate) fn check(&self, authorization: Option<&str>, writes: bool) -> Result<(), Error> {
        match self {
            Self::Open => Ok(()),
            Self::Basic { user, password } => {
                let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                if authorization == Some(expected.as_str()) { Ok(()) } else { Err(Error::BasicUnauthorized) }
            }
            Self::Token { token, read_only } => {
                let given = authorization.and_then(|header| header.strip_prefix("token="));
                match given {
                    Some(given) if given == token => Ok(()),
                    Some(given) if Some(given) == read_only.as_deref() && writes => Err(Error::Forbidden),
                    Some(given) if Some(given) == read_only.as_deref() => Ok(()),
                    Some(_) | None => Err(Error::TokenUnauthorized),
                }
            }
        }
    }
}
