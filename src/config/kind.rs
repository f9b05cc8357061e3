//! What an option's text may be, and how it becomes a Rust value.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

/// What the text of an option must look like. It also words the expectation of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    /// Items parted by commas.
    List,
    /// Given once per item; an empty list of choices admits any text.
    Multi {
        choices: &'static [&'static str],
    },
    Duration {
        min: Duration,
    },
    Port,
    /// An empty list of schemes admits any. A scheme may carry a driver, as in `mysql+pymysql`.
    Url {
        schemes: &'static [&'static str],
    },
    Choice {
        choices: &'static [&'static str],
    },
    Path,
    Pattern,
    Address,
}

impl Kind {
    /// Parts the text of an option into items: none when it is empty, which means "not set".
    pub(crate) fn items(&self, text: &str) -> Vec<String> {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed == "<None>" {
            return Vec::new();
        }
        match self {
            Self::List => {
                trimmed.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            }
            // Blanks around a password may belong to it: the file formats have already decided that.
            Self::Text => vec![text.to_owned()],
            Self::Integer { .. }
            | Self::Boolean
            | Self::Multi { .. }
            | Self::Duration { .. }
            | Self::Port
            | Self::Url { .. }
            | Self::Choice { .. }
            | Self::Path
            | Self::Pattern
            | Self::Address => vec![trimmed.to_owned()],
        }
    }

    /// Whether one item is what this kind expects.
    pub(crate) fn admits(&self, item: &str) -> bool {
        match self {
            Self::Text | Self::List | Self::Path => true,
            Self::Integer { min, max } => {
                item.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number))
            }
            Self::Boolean => parse_boolean(item).is_some(),
            Self::Multi { choices } => choices.is_empty() || choices.contains(&item),
            Self::Duration { min } => parse_duration(item).is_some_and(|length| length >= *min),
            Self::Port => item.parse::<u16>().is_ok_and(|port| port > 0),
            Self::Url { schemes } => admits_url(schemes, item),
            Self::Choice { choices } => choices.iter().any(|choice| choice.eq_ignore_ascii_case(item)),
            Self::Pattern => regex::Regex::new(item).is_ok(),
            Self::Address => item.parse::<SocketAddr>().is_ok(),
        }
    }

    /// The words after "expected".
    pub(crate) fn expectation(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("a whole number of at least {min}"),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Boolean => "true or false (also yes/no, on/off, 1/0)".to_owned(),
            Self::List => "items parted by commas".to_owned(),
            Self::Multi { choices: [] } => "text, given once per item".to_owned(),
            Self::Multi { choices } => format!("one of {}, given once per item", choices.join(", ")),
            Self::Duration { min: Duration::ZERO } => {
                "a duration such as 10s, 5m, 1h30m, or plain seconds".to_owned()
            }
            Self::Duration { min } => {
                format!("a duration of at least {min:?}, such as 10s, 5m, 1h30m, or plain seconds")
            }
            Self::Port => "a port from 1 to 65535".to_owned(),
            Self::Url { schemes: [] } => "a URL".to_owned(),
            Self::Url { schemes } => format!("a URL that starts with one of {}", schemes.join(", ")),
            Self::Choice { choices } => format!("one of {}", choices.join(", ")),
            Self::Path => "a path".to_owned(),
            Self::Pattern => "a regular expression".to_owned(),
            Self::Address => "an address and port such as 127.0.0.1:9517".to_owned(),
        }
    }

    /// Whether several values of one source add up; for every other kind the last one counts.
    pub(crate) fn is_multi(&self) -> bool {
        matches!(self, Self::Multi { .. })
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List)
    }

    /// Whether `config show` may print the part of a secret that is not the password.
    pub(crate) fn is_url(&self) -> bool {
        matches!(self, Self::Url { .. })
    }
}

fn admits_url(schemes: &[&str], item: &str) -> bool {
    let Some((scheme, _)) = item.split_once("://") else { return false };
    let family = scheme.split_once('+').map_or(scheme, |(family, _driver)| family);
    !family.is_empty() && (schemes.is_empty() || schemes.contains(&family))
}

/// The spellings of oslo.config.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// Plain seconds (`60`, `0.5`) or numbers with units (`1h30m`, `10s`, `250ms`).
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let number: u64 = number.parse().ok()?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" | "sec" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = after.trim_start();
    }
    Some(total)
}

/// Makes the value of a typed field from items that its kind has admitted.
pub(crate) trait FromItems: Sized {
    fn from_items(items: &[String]) -> Option<Self>;
}

impl FromItems for String {
    fn from_items(items: &[String]) -> Option<Self> {
        Some(items.first().cloned().unwrap_or_default())
    }
}

impl FromItems for SecretString {
    fn from_items(items: &[String]) -> Option<Self> {
        Some(items.first().cloned().unwrap_or_default().into())
    }
}

impl FromItems for PathBuf {
    fn from_items(items: &[String]) -> Option<Self> {
        items.first().map(Self::from)
    }
}

impl FromItems for bool {
    fn from_items(items: &[String]) -> Option<Self> {
        parse_boolean(items.first()?)
    }
}

impl FromItems for Duration {
    fn from_items(items: &[String]) -> Option<Self> {
        parse_duration(items.first()?)
    }
}

impl<T: FromItems> FromItems for Option<T> {
    fn from_items(items: &[String]) -> Option<Self> {
        if items.is_empty() { Some(None) } else { T::from_items(items).map(Some) }
    }
}

impl FromItems for Vec<String> {
    fn from_items(items: &[String]) -> Option<Self> {
        Some(items.to_vec())
    }
}

impl FromItems for Vec<SecretString> {
    fn from_items(items: &[String]) -> Option<Self> {
        Some(items.iter().map(|item| item.clone().into()).collect())
    }
}

/// Types whose own parser reads one item.
macro_rules! parsed {
    ($($ty:ty),*) => { $(
        impl FromItems for $ty {
            fn from_items(items: &[String]) -> Option<Self> {
                items.first()?.parse().ok()
            }
        }
    )* };
}
parsed!(u16, u32, u64, usize, f64, SocketAddr);

/// An enum whose spellings are the choices of an option.
macro_rules! choices {
    ($(
        $(#[$about:meta])*
        $name:ident { $($(#[$variant_about:meta])* $variant:ident = $text:literal),* $(,)? }
    )*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_about])* $variant),* }

        impl $name {
            pub(crate) const CHOICES: &'static [&'static str] = &[$($text),*];
            const VALUES: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl FromItems for $name {
            fn from_items(items: &[String]) -> Option<Self> {
                let item = items.first()?;
                Self::VALUES.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(item))
            }
        }
    )* };
}

choices! {
    /// How log lines are written.
    LogFormat { Text = "text", Json = "json" }


    /// How the client proves who it is to the broker.
    LoginMethod {
        Amqplain = "AMQPLAIN",
        Plain = "PLAIN",
        External = "EXTERNAL",
        RabbitCrDemo = "RABBIT-CR-DEMO",
    }

    /// How what is sent is compressed.
    Compression { Gzip = "gzip", Bzip2 = "bz2" }

    /// The order in which the hosts of `transport_url` are tried.
    FailoverStrategy { RoundRobin = "round-robin", Shuffle = "shuffle" }


    /// What becomes of a deployment that is not done by its deadline.
    OnDeadline {
        /// It goes on.
        Leave = "leave",
        /// A new one takes its changes back.
        Rollback = "rollback",
        /// It ends, and apps stay as far as it has come.
        Cancel = "cancel",
    }

    /// What becomes of a bay's update when the agents that are to go are not empty.
    Undrained {
        /// They go all the same.
        Remove = "remove",
        /// They stay, and the bay is what it was.
        Fail = "fail",
    }

    /// In whose words measurements are told.
    MetricsEvent {
        /// magnum.cluster.metrics.update, as from Newton on.
        Cluster = "cluster",
        /// magnum.bay.metrics.update, as in Liberty and Mitaka.
        Bay = "bay",
    }

    /// Where notifications go.
    NotificationDriver {
        /// Bare JSON on the control exchange.
        Messaging = "messaging",
        /// The same in the 2.0 envelope.
        MessagingV2 = "messagingv2",
        Routing = "routing",
        Log = "log",
        Test = "test",
        Noop = "noop",
    }
}

impl FromItems for Vec<NotificationDriver> {
    fn from_items(items: &[String]) -> Option<Self> {
        items.iter().map(|item| NotificationDriver::from_items(std::slice::from_ref(item))).collect()
    }
}
