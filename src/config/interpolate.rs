//! `$name` and `${section.name}` in a value stand for the value of another option, as in oslo.config.

/// Why a reference could not be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Nobody knows the option that is referred to.
    Unknown(String),
    /// The value refers to itself, perhaps by way of others.
    Circle(String),
}

/// Replaces every reference by what `lookup` gives for it.
///
/// `$$` and `\$` stand for a dollar sign, and one that begins no reference stays as it is.
pub(crate) fn expand(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Result<String, Problem>,
) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        if let Some(before) = before.strip_suffix('\\') {
            out.push_str(before);
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('$') {
            out.push_str(before);
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(after) {
            out.push_str(before);
            out.push_str(&lookup(name)?);
            rest = after;
        } else {
            out.push_str(before);
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The name of the reference that begins here, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('{') {
        Some(braced) => {
            let (name, after) = identifier(braced)?;
            Some((name, after.strip_prefix('}')?))
        }
        None => identifier(text),
    }
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return None;
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    Some(text.split_at(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let mut lookup = |name: &str| match name {
            "dir" => Ok("/var".to_owned()),
            "group.name" => Ok("x".to_owned()),
            other => Err(Problem::Unknown(other.to_owned())),
        };
        assert_eq!(expand(text, &mut lookup).unwrap(), expected, "{text}");
    }

    #[test]
    fn references_are_replaced_and_dollars_kept() {
        check("plain", "plain");
        check("$dir/log", "/var/log");
        check("${dir}log", "/varlog");
        check("a${group.name}b$group.name", "axbx");
        check("a$$dir", "a$dir");
        check(r"a\$dir", "a$dir");
        check("100$", "100$");
        check("$5 ${ ${dir", "$5 ${ ${dir");
    }

    #[test]
    fn an_unknown_reference_is_a_problem() {
        let mut lookup = |name: &str| Err(Problem::Unknown(name.to_owned()));
        assert_eq!(expand("pa$word", &mut lookup), Err(Problem::Unknown("word".to_owned())));
    }

    proptest! {
        #[test]
        fn any_text_is_expanded_without_panic(text in "(\\PC|[${}\\\\a.])*") {
            expand(&text, &mut |name| Ok(name.to_owned())).unwrap();
        }
    }
}
