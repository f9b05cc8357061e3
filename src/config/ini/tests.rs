use proptest::prelude::*;

use super::*;

fn values(text: &str) -> Vec<(String, String, String)> {
    let (assignments, faults) = parse(text);
    assert_eq!(faults, [], "{text}");
    assignments.into_iter().map(|a| (a.section, a.name, a.value)).collect()
}

fn check(text: &str, expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(s, n, v)| ((*s).to_owned(), (*n).to_owned(), (*v).to_owned())).collect();
    assert_eq!(values(text), expected, "{text}");
}

#[test]
fn options_are_parted_by_the_first_colon_or_equals_sign() {
    check("[a]\nx = 1", &[("a", "x", "1")]);
    check("[a]\nx: 1", &[("a", "x", "1")]);
    check("[a]\nurl = http://h:80/?a=b", &[("a", "url", "http://h:80/?a=b")]);
    check("[a]\nurl: http://h=1", &[("a", "url", "http://h=1")]);
    check("[a]\nempty =", &[("a", "empty", "")]);
}

#[test]
fn comments_and_blank_lines_are_left_out() {
    check(
        "# one\n; two\n\n[a]\n#x = 1\ny = 2 # kept, as oslo keeps it\n",
        &[("a", "y", "2 # kept, as oslo keeps it")],
    );
}

#[test]
fn indented_lines_go_on_with_the_value() {
    check("[a]\nx = 1,\n  2,\n\t3\ny = 4", &[("a", "x", "1,\n2,\n3"), ("a", "y", "4")]);
    check("[a]\nx = 1\n  # not a comment", &[("a", "x", "1\n# not a comment")]);
}

#[test]
fn one_pair_of_quotes_is_taken_off() {
    check(
        "[a]\nx = \" 1 \"\ny = '2'\nz = \"3'\nw = \"\"4\"\"",
        &[("a", "x", " 1 "), ("a", "y", "2"), ("a", "z", "\"3'"), ("a", "w", "\"4\"")],
    );
}

#[test]
fn a_name_given_again_is_kept_each_time() {
    check(
        "[a]\nx = 1\nx = 2\n[b]\nx = 3\n[a]\nx = 4",
        &[("a", "x", "1"), ("a", "x", "2"), ("b", "x", "3"), ("a", "x", "4")],
    );
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_do_not_matter() {
    check("\u{feff}[a]\r\nx = 1\r\n", &[("a", "x", "1")]);
}

#[test]
fn every_faulty_line_is_named_and_the_rest_is_read() {
    let text =
        "early = 1\n[a]\nnonsense\n   its continuation\nx = 1\n\n   lost\n[b\ny = 2\n[]\n= 3\n[c]\nz = 4";
    let (assignments, faults) = parse(text);
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 3, 7, 8, 9, 10, 11]);
    let names: Vec<_> = assignments.iter().map(|a| (a.section.as_str(), a.name.as_str(), a.line)).collect();
    assert_eq!(names, [("a", "x", 5), ("c", "z", 13)]);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_but_never_panics(text in "\\PC*(\n[\\[\\]\"' \t=:#a-z]*){0,8}") {
        let (assignments, faults) = parse(&text);
        let lines = text.lines().count();
        prop_assert!(assignments.len() + faults.len() <= lines);
        prop_assert!(faults.iter().all(|fault| fault.line >= 1 && fault.line <= lines));
    }

    #[test]
    fn a_plain_value_comes_back_as_it_was(name in "[a-z_]{1,12}", value in "[a-zA-Z0-9/:@,.$=-]{0,30}") {
        let (assignments, faults) = parse(&format!("[s]\n{name} = {value}\n"));
        prop_assert_eq!(faults, []);
        prop_assert_eq!((&assignments[0].name, &assignments[0].value), (&name, &value));
    }
}
