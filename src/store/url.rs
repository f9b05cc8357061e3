//! Database URLs: `SQLAlchemy`'s form, as `[database] connection` of magnum.conf has it, and sqlx's.
//!
//! They are taken apart by hand: `SQLAlchemy` lets a password hold `#`, `?` and `/` unescaped, which a strict parser
//! refuses or, worse, reads as something else.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Why a database URL is refused. The URL itself holds a password and is never part of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the database URL has no scheme; write for example `sqlite:////var/lib/conductor.sqlite`")]
    NoScheme,
    #[error("`{0}` databases are not supported: use sqlite, postgresql, mysql or mariadb")]
    Scheme(String),
    #[error("the port in the database URL is not a number")]
    Port,
    #[error("the {0} in the database URL is not UTF-8 after decoding")]
    Encoding(&'static str),
    #[error("the database URL names no database")]
    NoDatabase,
    #[error("the value of option `{0}` in the database URL is not understood")]
    Option(String),
}

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// `None` is a database in memory.
    Sqlite(Option<PathBuf>),
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

/// A URL taken apart.
pub(crate) struct Parsed {
    pub(crate) target: Target,
    /// Names of options that mean nothing here: worth a warning.
    pub(crate) ignored: Vec<String>,
}

pub(crate) fn parse(url: &SecretString) -> Result<Parsed, Error> {
    let url = url.expose_secret().trim();
    let (scheme, rest) = url.split_once(':').ok_or(Error::NoScheme)?;
    let dialect = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
    match dialect.as_str() {
        "sqlite" => Ok(sqlite(rest)),
        "postgresql" | "postgres" => postgres(&Parts::new(rest)?),
        "mysql" | "mariadb" => mysql(&Parts::new(rest)?),
        _ => Err(Error::Scheme(scheme.to_owned())),
    }
}

/// Three slashes before a relative path, four before an absolute one; sqlx's forms have none or two.
fn sqlite(rest: &str) -> Parsed {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("///").or_else(|| path.strip_prefix("//")).unwrap_or(path);
    let path = (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path));
    let ignored = options(query).map(|(name, _)| name.to_owned()).filter(|name| name != "mode").collect();
    Parsed { target: Target::Sqlite(path), ignored }
}

fn postgres(parts: &Parts<'_>) -> Result<Parsed, Error> {
    let mut to = PgConnectOptions::new_without_pgpass().application_name("mesos-conductor");
    to = to.host(parts.host.unwrap_or("localhost")).port(parts.port.unwrap_or(5432));
    to = to.username(parts.user.as_deref().unwrap_or("postgres"));
    if let Some(password) = &parts.password {
        to = to.password(password.expose_secret());
    }
    to = to.database(&parts.database);
    let mut ignored = Vec::new();
    for (name, value) in options(parts.query) {
        let value = decode(value, "option")?;
        to = match name {
            "sslmode" => {
                to.ssl_mode(PgSslMode::from_str(&value).map_err(|_| Error::Option(name.to_owned()))?)
            }
            "sslrootcert" => to.ssl_root_cert(value),
            "sslcert" => to.ssl_client_cert(value),
            "sslkey" => to.ssl_client_key(value),
            "host" if value.starts_with('/') => to.socket(value),
            "host" => to.host(&value),
            "port" => to.port(value.parse().map_err(|_| Error::Port)?),
            "application_name" => to.application_name(&value),
            "client_encoding" => to,
            _ => {
                ignored.push(name.to_owned());
                to
            }
        };
    }
    Ok(Parsed { target: Target::Postgres(Box::new(to)), ignored })
}

fn mysql(parts: &Parts<'_>) -> Result<Parsed, Error> {
    let mut to = MySqlConnectOptions::new().charset("utf8mb4");
    to = to.host(parts.host.unwrap_or("localhost")).port(parts.port.unwrap_or(3306));
    to = to.username(parts.user.as_deref().unwrap_or("root")).database(&parts.database);
    if let Some(password) = &parts.password {
        to = to.password(password.expose_secret());
    }
    let mut ignored = Vec::new();
    for (name, value) in options(parts.query) {
        let value = decode(value, "option")?;
        to = match name {
            "ssl-mode" | "ssl_mode" => {
                to.ssl_mode(MySqlSslMode::from_str(&value).map_err(|_| Error::Option(name.to_owned()))?)
            }
            "ssl_ca" | "ssl-ca" => to.ssl_ca(value).ssl_mode(MySqlSslMode::VerifyCa),
            "ssl_cert" | "ssl-cert" => to.ssl_client_cert(value),
            "ssl_key" | "ssl-key" => to.ssl_client_key(value),
            "unix_socket" | "socket" => to.socket(value),
            // The connection always speaks utf8mb4; the server converts to what its tables hold.
            "charset" | "use_unicode" => to,
            _ => {
                ignored.push(name.to_owned());
                to
            }
        };
    }
    Ok(Parsed { target: Target::MySql(Box::new(to)), ignored })
}

struct Parts<'a> {
    user: Option<String>,
    password: Option<SecretString>,
    host: Option<&'a str>,
    port: Option<u16>,
    database: String,
    query: &'a str,
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl<'a> Parts<'a> {
    /// `//user:password@host:port/database?query`: the password goes up to the last `@`.
    fn new(rest: &'a str) -> Result<Self, Error> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, "")) => (Some(decode(user, "user name")?), None),
            Some((user, word)) => (Some(decode(user, "user name")?), Some(decode(word, "password")?.into())),
            None => (None, None),
        };
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (address, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = match address.strip_prefix('[').and_then(|address| address.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or("")),
            None => address.split_once(':').unwrap_or((address, "")),
        };
        let port = (!port.is_empty()).then(|| port.parse().map_err(|_| Error::Port)).transpose()?;
        let database = decode(database, "database name")?;
        if database.is_empty() {
            return Err(Error::NoDatabase);
        }
        Ok(Self { user, password, host: Some(host).filter(|host| !host.is_empty()), port, database, query })
    }
}

fn options(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|option| !option.is_empty())
        .map(|option| option.split_once('=').unwrap_or((option, "")))
}

fn decode(text: &str, what: &'static str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| Error::Encoding(what))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Parsed {
        parse(&url.into()).unwrap()
    }

    fn refused(url: &str) -> Error {
        parse(&url.into()).err().unwrap()
    }

    #[test]
    fn sqlite_paths_follow_the_number_of_slashes() {
        let path = |url| match parsed(url).target {
            Target::Sqlite(path) => path.map(|path| path.display().to_string()),
            Target::Postgres(_) | Target::MySql(_) => panic!("not SQLite"),
        };
        assert_eq!(path("sqlite:////var/x.db").as_deref(), Some("/var/x.db"));
        assert_eq!(path("sqlite:///x.db").as_deref(), Some("x.db"));
        assert_eq!(path("sqlite:x.db?mode=rwc").as_deref(), Some("x.db"));
        assert_eq!(path("sqlite://"), None);
        assert_eq!(path("sqlite::memory:"), None);
    }

    #[test]
    fn a_magnum_conf_url_is_understood() {
        let found = parsed("mysql+pymysql://magnum:p%40ss@10.0.0.5:3307/magnum?charset=utf8&plugin=x");
        assert_eq!(found.ignored, ["plugin"]);
        let Target::MySql(to) = found.target else { panic!("not MySQL") };
        assert_eq!((to.get_host(), to.get_port()), ("10.0.0.5", 3307));
        assert_eq!((to.get_username(), to.get_database()), ("magnum", Some("magnum")));
    }

    #[test]
    fn a_password_may_hold_what_a_strict_parser_refuses() {
        let found = parsed("postgresql+psycopg2://u:a#b?c/d@e@[::1]:5433/db?sslmode=require");
        let Target::Postgres(to) = found.target else { panic!("not PostgreSQL") };
        assert_eq!((to.get_host(), to.get_port(), to.get_database()), ("::1", 5433, Some("db")));
        assert!(matches!(to.get_ssl_mode(), PgSslMode::Require));
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        assert_eq!(refused("oracle://u:secret@h/d"), Error::Scheme("oracle".into()));
        assert_eq!(refused("mysql://u:secret@h:x/d"), Error::Port);
        assert_eq!(refused("postgres://u:secret@h"), Error::NoDatabase);
        assert_eq!(refused("postgres://u:s@h/d?sslmode=perhaps"), Error::Option("sslmode".into()));
        assert_eq!(refused("nothing"), Error::NoScheme);
    }
}
