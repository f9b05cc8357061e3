//! Label selectors: `key`, `key==value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`, joined by commas.

use super::super::definition::Definition;
use super::super::error::Error;

#[derive(Debug, PartialEq, Eq)]
enum Term {
    Has(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<Term>);

impl Selector {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let terms: Option<Vec<Term>> = split(text).into_iter().map(|term| parse_term(&term)).collect();
        let refuse = || Error::Unprocessable(format!("Label selector can not be parsed: {text}"));
        terms.map(Self).ok_or_else(refuse)
    }

    pub(super) fn fits(&self, definition: &Definition) -> bool {
        self.0.iter().all(|term| match term {
            Term::Has(key) => definition.label(key).is_some(),
            Term::In(key, values) => definition.label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Term::NotIn(key, values) => definition.label(key).is_some_and(|v| values.iter().all(|w| w != v)),
        })
    }
}

/// Splits at the commas that are not within parentheses.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match terms.last_mut() {
            Some(last) if c != ',' || depth > 0 => last.push(c),
            Some(_) | None => terms.push(String::new()),
        }
    }
    terms
}

fn parse_term(text: &str) -> Option<Term> {
    let set = |rest: &str| {
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        inner.split(',').map(word).collect::<Option<Vec<_>>>()
    };
    if let Some((key, value)) = text.split_once("==") {
        Some(Term::In(word(key)?, vec![word(value)?]))
    } else if let Some((key, value)) = text.split_once("!=") {
        Some(Term::NotIn(word(key)?, vec![word(value)?]))
    } else if let Some((key, rest)) = text.split_once(" notin ") {
        Some(Term::NotIn(word(key)?, set(rest)?))
    } else if let Some((key, rest)) = text.split_once(" in ") {
        Some(Term::In(word(key)?, set(rest)?))
    } else {
        Some(Term::Has(word(text)?))
    }
}

/// Letters, digits, dots, underscores and dashes; anything else behind a backslash.
fn word(text: &str) -> Option<String> {
    let mut word = String::new();
    let mut chars = text.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.push(chars.next()?),
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => word.push(c),
            _ => return None,
        }
    }
    Some(word).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::marathon::path::PathId;
    use crate::marathon::profile::Profile;

    #[test]
    fn selectors_need_the_key_and_compare_the_value() {
        let sent = json!({"cmd": "a b", "labels": {"env": "prod", "a/b": "c d"}});
        let app = Definition::new(&PathId::parse("/a"), sent.as_object().unwrap().clone(), &Profile::V1_11);
        let check = |text: &str, expected: Option<bool>| {
            assert_eq!(Selector::parse(text).ok().map(|selector| selector.fits(&app)), expected, "{text}");
        };
        check("env", Some(true));
        check("env==prod", Some(true));
        check("env!=prod", Some(false));
        check("other!=prod", Some(false));
        check("env in (test, prod)", Some(true));
        check("env notin (test,prod)", Some(false));
        check("env==prod,other", Some(false));
        check("a\\/b==c\\ d", Some(true));
        check("env==", None);
        check("a b", None);
        check("", None);
    }
}
