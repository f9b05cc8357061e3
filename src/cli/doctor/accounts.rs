//! Which accounts of the broker may send requests, as its management API knows them.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use regex::Regex;
use serde::Deserialize;
use url::Url;

use super::Findings;
use crate::amqp::settings::Broker;

const CHECK: &str = "broker permissions";
const PATIENCE: Duration = Duration::from_secs(20);

/// A row of `/api/permissions`.
#[derive(Debug, Deserialize)]
struct Permission {
    user: String,
    vhost: String,
    write: String,
}

pub(super) async fn check(url: &Url, broker: &Broker, findings: &mut Findings) {
    let permissions = match ask(url).await {
        Ok(permissions) => permissions,
        Err(error) => {
            let hint = "it needs an account with the tag monitoring or administrator";
            return findings.fail(CHECK, format!("the management API: {error}"), hint);
        }
    };
    let ours = |user: &str| broker.hosts.iter().any(|host| host.username == user);
    for permission in permissions.iter().filter(|permission| permission.vhost == broker.vhost) {
        let doors = doors(&permission.write, broker);
        let user = &permission.user;
        if doors.is_empty() {
            continue;
        }
        let detail = format!("{user} may write to {}", doors.join(", "));
        if ours(user) {
            findings.ok(CHECK, detail);
        } else {
            let hint = "right for magnum-api's account; any other can act as anyone";
            findings.warn(CHECK, detail, hint);
        }
    }
}

/// The ways by which a request comes to the workers that a pattern of RabbitMQ's opens.
fn doors(write: &str, broker: &Broker) -> Vec<String> {
    let ways = [
        broker.exchange.clone(),
        "amq.default".to_owned(),
        broker.topic.clone(),
        format!("{}_fanout", broker.topic),
    ];
    // The empty pattern is RabbitMQ's word for nothing. One that only Erlang can read may mean anything.
    if write.is_empty() || write == "^$" {
        return Vec::new();
    }
    let pattern = Regex::new(write).ok();
    let open = |name: &String| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name));
    ways.into_iter().filter(open).collect()
}

async fn ask(url: &Url) -> Result<Vec<Permission>, String> {
    let mut address = url.clone();
    // Credentials go into a header: as part of the address they would be in every error.
    address
        .set_username("")
        .and_then(|()| address.set_password(None))
        .map_err(|()| "not a URL".to_owned())?;
    let address = address.join("/api/permissions").map_err(|error| error.to_string())?;
    let clear = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let http = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|error| error.to_string())?;
    let request = http.get(address).basic_auth(clear(url.username()), url.password().map(clear));
    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
    answer.map_err(|error| error.to_string())?.json().await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_opens_the_doors_that_it_matches() {
        let broker = Broker::default();
        for (write, opened) in [
            (".*", &["magnum", "amq.default", "magnum-conductor", "magnum-conductor_fanout"][..]),
            ("", &[]),
            ("^$", &[]),
            ("^nova$", &[]),
            ("^(magnum|reply_.*)$", &["magnum"]),
            ("amq", &["amq.default"]),
            // Not a pattern that is understood here: better a warning too many.
            ("(?<=x)y", &["magnum", "amq.default", "magnum-conductor", "magnum-conductor_fanout"]),
        ] {
            assert_eq!(doors(write, &broker), opened, "{write}");
        }
    }
}
