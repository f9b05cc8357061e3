//! The configuration as people read it: what is in effect, without secrets, and the commented default file.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{
    effective::{Effective, Entry},
    kind::Kind,
    option::OptionDef,
    settings::TABLE,
};

const HIDDEN: &str = "***";

/// Every option as it is in effect, in a form that can be read again (but for the secrets).
pub fn show(effective: &Effective) -> String {
    let mut out = String::new();
    for (section, _, _) in TABLE {
        writeln!(out, "[{section}]").expect("writing to a String never fails");
        for entry in effective.entries().iter().filter(|entry| entry.option.section == *section) {
            show_entry(&mut out, entry).expect("writing to a String never fails");
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn show_entry(out: &mut String, entry: &Entry) -> std::fmt::Result {
    let name = entry.option.name;
    if let Some(origin) = &entry.origin {
        writeln!(out, "# from {origin}")?;
    }
    let items: Vec<_> = entry.items.iter().map(|item| shown(entry.option, item)).collect();
    if items.is_empty() {
        writeln!(out, "# {name} is not set")?;
    } else if entry.option.spec.kind.is_multi() {
        for item in items {
            writeln!(out, "{name} = {item}")?;
        }
    } else {
        // A line break in a value is a continuation line in this format.
        writeln!(out, "{name} = {}", items.join(",").replace('\n', "\n    "))?;
    }
    Ok(())
}

/// The same for programs: section, option, value and origin.
pub fn show_json(effective: &Effective) -> Value {
    let mut sections = Map::new();
    for entry in effective.entries() {
        let mut values: Vec<_> =
            entry.items.iter().map(|item| Value::from(shown(entry.option, item))).collect();
        let kind = &entry.option.spec.kind;
        let value = if kind.is_list() || kind.is_multi() {
            Value::Array(values)
        } else {
            values.pop().unwrap_or(Value::Null)
        };
        let section = sections.entry(entry.option.section).or_insert_with(|| json!({}));
        section[entry.option.name] = json!({ "value": value, "origin": entry.origin });
    }
    Value::Object(sections)
}

fn shown(option: &OptionDef, item: &str) -> String {
    match (option.spec.secret, option.spec.kind.is_url()) {
        (false, _) => item.to_owned(),
        (true, true) => masked_url(item),
        (true, false) => HIDDEN.to_owned(),
    }
}

/// Hides the passwords of a URL of one or several hosts, and the values of its query.
///
/// Where a password may hold an unescaped separator, everything before the last `@` is hidden.
fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    if query.is_some_and(|query| query.contains('@')) {
        return format!("{scheme}://{HIDDEN}");
    }
    let (hosts, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let masked: Option<Vec<_>> = hosts.split(',').map(masked_host).collect();
    let hosts = match (masked, rest.rsplit_once('@')) {
        (Some(hosts), _) if !path.contains('@') => format!("{}{path}", hosts.join(",")),
        (_, Some((_, after))) => format!("{HIDDEN}@{after}"),
        (_, None) => HIDDEN.to_owned(),
    };
    let query: Vec<_> = query
        .iter()
        .flat_map(|query| query.split('&'))
        .map(|pair| {
            pair.split_once('=').map_or_else(|| HIDDEN.to_owned(), |(name, _)| format!("{name}={HIDDEN}"))
        })
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{scheme}://{hosts}{query}")
}

/// `None` when it is not clear where the password begins or ends.
fn masked_host(host: &str) -> Option<String> {
    let Some((credentials, address)) = host.split_once('@') else {
        return Some(host.to_owned()).filter(|host| !looks_like_a_piece_of_a_password(host));
    };
    let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
    let clear = credentials.matches(':').count() <= 1 && !address.contains('@');
    clear.then(|| format!("{user}:{HIDDEN}@{address}"))
}

/// `host`, `host:port` and `[address]:port` are fine; anything after a colon that is no port is not.
fn looks_like_a_piece_of_a_password(host: &str) -> bool {
    let after_address = host.rsplit_once(']').map_or(host, |(_, after)| after);
    after_address.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err())
}

/// The commented default file: every option, what it is for and what it is when nobody sets it.
pub fn default_file() -> String {
    let mut out = String::from(
        "# The configuration of mesos-conductor, with every option at its default.\n\
         #\n\
         # Options are called as in magnum.conf; an existing magnum.conf can be passed in place of this.\n\
         # Each option can also be set by the environment variable CONDUCTOR__SECTION__OPTION and by the\n\
         # flag --set section.option=value. Flags win over the environment, and the environment over files.\n\
         # $name and ${section.name} stand for the value of another option; $$ is a dollar sign.\n\
         #\n\
         # This file is made by `mesos-conductor config show --defaults`.\n",
    );
    for (section, about, options) in TABLE {
        out.push('\n');
        comment(&mut out, about);
        writeln!(out, "[{section}]").expect("writing to a String never fails");
        for option in *options {
            out.push('\n');
            comment(&mut out, option.help);
            describe(&mut out, option).expect("writing to a String never fails");
        }
    }
    out
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(out, "# {line}").expect("writing to a String never fails");
    }
}

fn describe(out: &mut String, option: &OptionDef) -> std::fmt::Result {
    let spec = &option.spec;
    if !matches!(spec.kind, Kind::Text | Kind::Path | Kind::Boolean | Kind::List) {
        writeln!(out, "# Expected: {}.", spec.kind.expectation())?;
    }
    if !spec.aliases.is_empty() {
        let names: Vec<_> =
            spec.aliases.iter().map(|(section, name)| format!("[{section}] {name}")).collect();
        writeln!(out, "# Older names: {}.", names.join(", "))?;
    }
    match spec.default {
        "" => writeln!(out, "#{} =", option.name),
        default => writeln!(out, "#{} = {}", option.name, toml_value(&spec.kind, default)),
    }
}

fn toml_value(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Boolean | Kind::Integer { .. } | Kind::Port => text.to_owned(),
        Kind::List | Kind::Multi { .. } => {
            let items: Vec<_> = kind.items(text).iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Text
        | Kind::Duration { .. }
        | Kind::Url { .. }
        | Kind::Choice { .. }
        | Kind::Path
        | Kind::Pattern
        | Kind::Address => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        let check = |url: &str, expected: &str| assert_eq!(masked_url(url), expected, "{url}");
        check("rabbit://", "rabbit://");
        check("rabbit://localhost:5672/", "rabbit://localhost:5672/");
        check("rabbit://u:secret@h:5672/v", "rabbit://u:***@h:5672/v");
        check("rabbit://u:secret@h:1,w:secret@[::1]:2/v", "rabbit://u:***@h:1,w:***@[::1]:2/v");
        check("mysql+pymysql://u:secret@h/db?charset=utf8", "mysql+pymysql://u:***@h/db?charset=***");
        check("sqlite:////var/lib/x.sqlite", "sqlite:////var/lib/x.sqlite");
        check("secret", "***");
    }

    #[test]
    fn a_password_with_separators_does_not_leak_in_part() {
        for password in
            ["sec,ret", "sec/ret", "sec@ret", "sec:ret", "sec?ret", "s,e/c@r:e?t=ret", "sec,ret:1"]
        {
            let shown = masked_url(&format!("rabbit://user:{password}@host:5672/v"));
            assert!(!shown.contains("sec") && !shown.contains("ret"), "{shown}");
        }
    }
}
