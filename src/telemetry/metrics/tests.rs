use super::*;

/// What `record` leaves, as Prometheus would read it.
fn rendered(record: impl FnOnce()) -> String {
    let recorder = builder().unwrap().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        describe();
        record();
    });
    handle.render()
}

#[test]
fn a_request_is_counted_and_timed() {
    let text = rendered(|| request("bay_create", Outcome::Ok, Duration::from_millis(20)));
    assert!(text.contains(r#"mesos_conductor_requests_total{method="bay_create",outcome="ok"} 1"#), "{text}");
    assert!(
        text.contains(r#"mesos_conductor_request_duration_seconds_bucket{method="bay_create",le="0.025"} 1"#),
        "{text}"
    );
    assert!(text.contains("# HELP mesos_conductor_requests_total Calls and casts handled"), "{text}");
}

#[test]
fn names_from_the_wire_make_no_new_series() {
    let text = rendered(|| {
        for number in 0..100 {
            request(&format!("made_up_{number}"), Outcome::Refused, Duration::ZERO);
            openstack_request(Service::Heat, "BREW", Answer::Status(418), Duration::ZERO);
        }
    });
    assert!(text.contains(r#"requests_total{method="other",outcome="refused"} 100"#), "{text}");
    assert!(!text.contains("made_up"), "{text}");
    assert!(
        text.contains(r#"openstack_requests_total{service="heat",method="other",status="418"} 100"#),
        "{text}"
    );
}

#[test]
fn a_kind_without_operations_shows_zero() {
    let text = rendered(|| {
        operations(&[(Kind::BayCreate, State::Running, 3)], Some(Duration::from_secs(7)));
        operations(&[], None);
    });
    assert!(text.contains(r#"mesos_conductor_operations{kind="bay_create",state="running"} 0"#), "{text}");
    assert!(text.contains("mesos_conductor_operation_oldest_seconds 0"), "{text}");
}

#[test]
fn a_request_that_ends_in_a_panic_is_a_reject() {
    let text = rendered(|| {
        let panicked = std::panic::catch_unwind(|| {
            let _guard = in_flight();
            panic!("as the test asked");
        });
        assert!(panicked.is_err());
    });
    assert!(text.contains(r#"mesos_conductor_rejects_total{reason="panic"} 1"#), "{text}");
    assert!(text.contains("mesos_conductor_panics_total 1"), "{text}");
    assert!(text.contains("mesos_conductor_requests_in_flight 0"), "{text}");
}

#[test]
fn a_request_is_in_flight_until_its_guard_is_dropped() {
    let recorder = builder().unwrap().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let first = in_flight();
        let second = in_flight();
        drop(first);
        assert!(handle.render().contains("mesos_conductor_requests_in_flight 1"));
        drop(second);
    });
    assert!(handle.render().contains("mesos_conductor_requests_in_flight 0"));
}

#[test]
fn counters_are_shown_before_they_count() {
    let text = rendered(begin_at_zero);
    assert!(text.contains("mesos_conductor_leases_lost_total 0\n"), "{text}");
    assert!(text.contains("mesos_conductor_broker_connected 0\n"), "{text}");
}

#[test]
fn names_are_unique_and_prefixed() {
    for (index, (name, help)) in ALL.iter().enumerate() {
        assert!(name.starts_with("mesos_conductor_"), "{name}");
        assert!(!help.trim().is_empty(), "{name} has no help text");
        assert!(ALL[..index].iter().all(|(other, _)| other != name), "{name} is declared twice");
    }
}
