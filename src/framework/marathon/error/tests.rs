//! Every form of refusal that some release gives, and what it means.

use reqwest::header::HeaderValue;

use super::*;

fn meaning(status: u16, body: &str, effect: Effect) -> Error {
    refused(status, &HeaderMap::new(), body.as_bytes(), effect, str::to_owned)
}

/// Jetty's page of an error.
fn page(status: u16, reason: &str) -> String {
    format!(
        "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\"/>\n\
         <title>Error {status} {reason}</title><style>body {{ color: red }}</style>\n</head>\n\
         <body><h2>HTTP ERROR {status}</h2>\n<p>Problem accessing /v2/apps. Reason:\n<pre>    {reason}</pre></p>\
         <hr>Powered by Jetty://<hr/>\n</body>\n</html>\n"
    )
}

fn detail(path: &str, problems: &[&str]) -> Detail {
    Detail { path: path.to_owned(), problems: problems.iter().map(|text| (*text).to_owned()).collect() }
}

#[test]
fn the_two_conflicts_are_told_apart_by_the_deployments() {
    let locked = r#"{"message": "App is locked by one or more deployments. Override with the option '?force=true'.",
        "deployments": [{"id": "d-1"}, {"id": "d-2"}]}"#;
    let Error::Locked { deployments, message } = meaning(409, locked, Effect::Changes) else { panic!() };
    assert_eq!(deployments, [DeploymentId::new("d-1"), DeploymentId::new("d-2")]);
    assert!(message.starts_with("409, App is locked"));
    let duplicate = r#"{"message": "An app with id [/x] already exists."}"#;
    assert!(matches!(meaning(409, duplicate, Effect::Changes), Error::AlreadyExists { .. }));
    assert!(!meaning(409, duplicate, Effect::Changes).is_retryable());
    assert!(meaning(409, locked, Effect::Changes).is_retryable());
}

#[test]
fn invalid_definitions_are_explained_in_every_form() {
    for (status, body, expected) in [
        (
            422,
            r#"{"message": "Object is not valid",
                "details": [{"path": "/upgradeStrategy", "errors": ["too much", "too little"]}]}"#,
            vec![detail("/upgradeStrategy", &["too much", "too little"])],
        ),
        (
            422,
            r#"{"message": "m", "details": [{"attribute": "id", "error": "is wrong"}]}"#,
            vec![detail("id", &["is wrong"])],
        ),
        (
            422,
            r#"{"message": "Bean is not valid", "errors": [{"attribute": "id", "error": "is wrong"}]}"#,
            vec![detail("id", &["is wrong"])],
        ),
        (422, r#"{"message": "just a text"}"#, vec![]),
        (
            400,
            r#"{"message": "Invalid JSON", "details": "Unexpected character"}"#,
            vec![detail("/", &["Unexpected character"])],
        ),
        (400, r#"{"message": null, "details": [{"path": 1, "errors": {}}]}"#, vec![detail("/", &[])]),
    ] {
        let Error::Invalid { details, .. } = meaning(status, body, Effect::Changes) else { panic!("{body}") };
        assert_eq!(details, expected, "{body}");
    }
    let text =
        meaning(422, r#"{"message": "m", "details": [{"path": "/a", "errors": ["b"]}]}"#, Effect::Reads);
    assert_eq!(text.to_string(), "refused as invalid: 422, m; /a: b");
}

#[test]
fn a_403_may_be_no_question_of_rights() {
    let rights = r#"{"message": "Not Authorized to perform this action!"}"#;
    assert!(matches!(meaning(403, rights, Effect::Changes), Error::Forbidden { .. }));
    let many = r#"{"message": "Max number (100) of running deployments is achieved. Wait for existing."}"#;
    assert!(matches!(meaning(403, many, Effect::Changes), Error::TooManyDeployments { .. }));
    assert!(matches!(meaning(401, &page(401, "Unauthorized"), Effect::Reads), Error::Unauthorized { .. }));
}

#[test]
fn a_redirect_of_a_call_is_a_login() {
    let headers = HeaderMap::from_iter([(
        LOCATION,
        HeaderValue::from_static("https://login.example/oauth?state=secret"),
    )]);
    let error = refused(302, &headers, b"", Effect::Changes, str::to_owned);
    let expected = "302, sent on to https://login.example, as to a login".to_owned();
    assert_eq!(error, Error::Unauthorized { message: expected });
}

#[test]
fn absence_is_only_what_marathon_itself_says() {
    let absent = r#"{"message": "App '/x' does not exist"}"#;
    assert!(matches!(meaning(404, absent, Effect::Reads), Error::NotFound { .. }));
    for other in [page(404, "Not Found"), r#"{"message": "URI not found: /v2/x"}"#.to_owned(), String::new()]
    {
        assert!(matches!(meaning(404, &other, Effect::Reads), Error::Protocol { .. }), "{other}");
    }
    assert!(matches!(meaning(500, r#"{"message": "URI not found"}"#, Effect::Reads), Error::Protocol { .. }));
    assert!(matches!(
        meaning(404, r#"{"message": "There is no leader"}"#, Effect::Reads),
        Error::Unavailable { .. }
    ));
}

#[test]
fn nothing_was_done_only_where_a_master_knows_it() {
    for (status, body) in [
        (502, page(502, "Could not determine the current leader")),
        (503, page(503, "Could not determine the current leader")),
        (502, page(502, "Connection to leader refused.")),
        (502, page(502, "Detected proxying loop.")),
        (503, page(503, "Too many concurrent requests! Allowed: 5.")),
    ] {
        let error = meaning(status, &body, Effect::Changes);
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(!error.effect_unknown() && error.is_retryable());
        assert!(!error.to_string().contains('<') && !error.to_string().contains("color"), "{error}");
    }
    for (status, body) in [
        (503, r#"{"message": "Futures timed out after [10 seconds]"}"#.to_owned()),
        (504, page(504, "Connection to leader timed out.")),
        (500, r#"{"message": null}"#.to_owned()),
        (502, "<html><h1>502 Bad Gateway</h1>nginx</html>".to_owned()),
        (503, String::new()),
    ] {
        let changed = meaning(status, &body, Effect::Changes);
        assert!(changed.effect_unknown() && changed.is_retryable(), "{changed}");
        let read = meaning(status, &body, Effect::Reads);
        assert!(matches!(read, Error::Unavailable { .. }), "{read}");
    }
}

#[test]
fn a_wait_that_is_asked_for_is_told() {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
    let error = refused(429, &headers, b"", Effect::Changes, str::to_owned);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn long_texts_are_cut_and_secrets_taken_out() {
    let body = format!(r#"{{"message": "hunter2 {}"}}"#, "x".repeat(10_000));
    let error = refused(500, &HeaderMap::new(), body.as_bytes(), Effect::Changes, |text| {
        text.replace("hunter2", "***")
    });
    let text = error.to_string();
    assert!(text.len() < 700 && text.contains("*** xxx") && text.ends_with("..."), "{text}");
}
