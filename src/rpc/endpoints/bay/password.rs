//! Passwords of trustees, as `[DEFAULT] password_symbols` asks for them.

use rand::Rng;
use rand::TryRngCore;
use rand::rngs::OsRng;
use rand::seq::{IndexedRandom, SliceRandom};
use secrecy::SecretString;

/// As long as Magnum makes them.
const LENGTH: usize = 18;

/// At least one symbol of each group, the rest from all of them, shuffled. The operating system is the source.
pub(super) fn generate(groups: &[String]) -> SecretString {
    let mut source = OsRng.unwrap_err();
    let groups: Vec<Vec<char>> = groups
        .iter()
        .map(|group| group.chars().collect())
        .filter(|group: &Vec<char>| !group.is_empty())
        .collect();
    let mut symbols: Vec<char> =
        groups.iter().filter_map(|group| group.choose(&mut source).copied()).collect();
    let all: Vec<char> = groups.concat();
    while symbols.len() < LENGTH && !all.is_empty() {
        symbols.push(all[source.random_range(0..all.len())]);
    }
    symbols.shuffle(&mut source);
    SecretString::from(symbols.into_iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn every_group_is_in_every_password() {
        let groups = ["23456789".to_owned(), "ABC".to_owned(), "xyz".to_owned()];
        for _ in 0..50 {
            let password = generate(&groups);
            let text = password.expose_secret();
            assert_eq!(text.chars().count(), LENGTH);
            for group in &groups {
                assert!(text.chars().any(|symbol| group.contains(symbol)), "{group} is missing");
            }
        }
    }
}
