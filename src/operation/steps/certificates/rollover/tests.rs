//! How the past grows from one generation to the next, and that it does not grow for ever.

use super::*;

/// A text as long as a certificate of a 2048 bit key.
fn text(name: &str, generation: usize) -> String {
    format!("{name}{generation}{}\n", "x".repeat(1130))
}

fn generation(number: usize, past: Past) -> NodeTexts {
    let Past { older, crosses } = past;
    let certificate = text("node", number);
    NodeTexts { ca_certificate: text("ca", number), certificate, key: "key".into(), older, crosses }
}

fn names(texts: &[String]) -> Vec<&str> {
    texts.iter().map(|text| text.trim_end_matches(['x', '\n'])).collect()
}

#[test]
fn every_generation_knows_the_ones_before_and_the_way_to_them() {
    let mut latest = generation(0, Past::default());
    for number in 1..4 {
        latest = generation(number, Past::of(&latest, Some(text("cross", number))).0);
    }
    assert_eq!(names(&latest.older), ["ca2", "ca1", "ca0"]);
    assert_eq!(names(&latest.crosses), ["cross3", "cross2", "cross1"]);
}

#[test]
fn where_one_cannot_be_signed_the_way_ends_and_begins_anew() {
    let mut latest = generation(0, Past::default());
    for (number, cross) in [(1, true), (2, false), (3, true)] {
        let cross = cross.then(|| text("cross", number));
        latest = generation(number, Past::of(&latest, cross).0);
    }
    assert_eq!(names(&latest.older), ["ca2", "ca1", "ca0"]);
    assert_eq!(names(&latest.crosses), ["cross3"]);
}

#[test]
fn the_oldest_are_left_out_before_a_node_is_told_too_much() {
    let mut latest = generation(0, Past::default());
    let mut first_left_out = None;
    for number in 1..20 {
        let (past, left_out) = Past::of(&latest, Some(text("cross", number)));
        let length: usize = past.older.iter().chain(&past.crosses).map(String::len).sum();
        assert!(length <= LONGEST, "{length}");
        assert_eq!(past.older.len(), past.crosses.len());
        if left_out > 0 {
            first_left_out.get_or_insert(number);
        }
        latest = generation(number, past);
    }
    assert_eq!(names(&latest.older), ["ca18", "ca17", "ca16", "ca15"]);
    assert_eq!(first_left_out, Some(5));
}
