//! The store's conformance suite: the same tests on every database.
//!
//! SQLite always runs. PostgreSQL and MySQL run where `CONDUCTOR_TEST_POSTGRES_URL` and
//! `CONDUCTOR_TEST_MYSQL_URL` name a server; each test makes a database of its own there and drops it
//! afterwards.

pub(crate) mod database;

mod apps;
mod bays;
mod key_pairs;
mod leases;
mod lists;
mod locks;
mod messages;
mod models;
mod operations;
mod outbox;
mod periodic;
mod schema;
mod services;
mod set_aside;
mod stacks;

/// Used where nothing should outlive the process.
#[tokio::test]
async fn a_database_in_memory_serves_all_callers() {
    let store = database::open("sqlite://", &mesos_conductor::store::Vault::generate_key()).await;
    store.migrate().await.unwrap();
    let writes = (0..20).map(|number| messages::is_new(&store, if number % 2 == 0 { "even" } else { "odd" }));
    let new = futures_util::future::join_all(writes).await;
    assert_eq!(new.into_iter().filter(|new| *new).count(), 2);
}

macro_rules! on {
    ($name:ident = $backend:ident, $($module:ident: $($test:ident),+;)+) => {
        mod $name {
            use mesos_conductor::store::Backend;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::database::with(Backend::$backend, super::$module::$test).await;
                }
            )+)+
        }
    };
}

macro_rules! conformance {
    ($($module:ident: $($test:ident),+ $(,)?;)+) => {
        on! { sqlite = Sqlite, $($module: $($test),+;)+ }
        on! { postgres = Postgres, $($module: $($test),+;)+ }
        on! { mysql = MySql, $($module: $($test),+;)+ }
    };
}

conformance! {
    apps:
        an_app_reads_back_as_written_and_its_manifest_is_sealed,
        names_are_unique_within_a_bay_and_claims_are_noticed,
        operations_on_an_app_stand_in_a_row,
        who_waits_at_a_step_can_be_woken,
        a_bay_with_apps_is_watched_by_one_worker,
        a_deleted_bay_leaves_no_app;
    schema:
        migrating_twice_changes_nothing,
        two_migrations_at_once_do_no_harm,
        a_database_of_magnum_keeps_its_rows,
        a_schema_of_a_newer_release_is_worked_on,
        a_migration_that_was_cut_off_is_run_again_on_mysql,
        the_clock_is_the_clock_of_the_world,
        a_stranger_database_is_reported_by_its_true_cause,
        a_deadlock_is_retryable,
        waiting_for_a_stopped_worker_ends,
        a_transaction_is_run_again_while_it_gives_way,
        nothing_of_a_dropped_transaction_stays,
        gauges_count_what_waits;
    messages:
        a_repeat_is_seen_with_its_operation_and_reply,
        of_many_at_once_one_is_new,
        the_second_is_new_when_the_first_is_undone,
        deliveries_of_a_body_are_counted,
        only_what_is_old_and_done_is_purged;
    models:
        a_model_reads_back_as_written,
        a_duplicate_leaves_the_transaction_usable,
        tenants_see_their_own_models_and_public_ones,
        a_model_is_in_use_while_a_bay_names_it,
        an_update_writes_the_named_fields_only,
        a_value_that_does_not_fit_is_the_requests_fault;
    bays:
        a_bay_reads_back_as_written,
        an_update_keeps_other_node_groups_and_labels,
        an_update_makes_missing_node_groups,
        node_groups_take_from_the_model_what_the_bay_does_not_say,
        a_deleted_bay_leaves_no_node_group,
        a_clear_password_is_read_and_sealed_at_the_next_write;
    key_pairs:
        a_key_pair_reads_back_as_written,
        an_update_of_a_key_pair_writes_the_named_fields_only,
        a_private_key_is_sealed_and_a_clear_one_is_read,
        tenants_see_their_own_key_pairs,
        a_deleted_key_pair_leaves_nothing;
    services:
        a_host_has_one_row_however_often_it_starts,
        reports_of_many_processes_are_all_counted,
        a_service_reads_back_as_written,
        services_are_listed_page_by_page,
        one_more_report_is_a_sign_of_life;
    locks:
        a_lock_has_one_holder,
        a_lock_is_stolen_from_its_holder_only,
        of_many_conductors_one_takes_the_lock;
    lists:
        filters_select_by_equality,
        names_are_told_apart_by_case,
        tenants_see_their_own_bays,
        pages_neither_skip_nor_repeat,
        null_sorts_before_every_value,
        an_unknown_sort_key_is_refused,
        a_marker_must_be_visible;
    leases:
        only_one_worker_claims,
        an_operation_is_due_again_when_its_lease_ends,
        a_stale_lease_writes_nothing,
        an_expired_lease_writes_nothing_even_if_nobody_took_it,
        a_renewed_lease_lives_on,
        a_released_operation_is_due_at_once,
        the_next_due_moment_covers_held_leases,
        a_postponed_operation_is_nobodys_until_then,
        of_each_project_what_was_due_first_is_due;
    operations:
        an_operation_reads_back_as_written,
        progress_is_written_under_the_lease,
        secrets_are_sealed_and_erased_at_the_end,
        a_busy_bay_names_its_operation,
        a_successor_begins_when_its_predecessor_ends,
        only_one_successor_is_accepted,
        a_successor_of_an_ended_operation_begins_at_once,
        no_successor_is_forgotten_in_a_race_with_the_end,
        a_superseded_operation_is_looked_at_soon,
        a_delete_and_a_running_operation_do_not_deadlock,
        callers_are_answered_in_the_order_they_came,
        a_heartbeat_is_one_workers;
    set_aside:
        a_message_is_kept_as_it_came_and_sealed,
        a_message_kept_twice_is_one_row_and_counted,
        of_many_at_once_one_keeps_it,
        a_large_body_is_kept_whole,
        what_is_released_may_be_done_once_more_and_only_once,
        one_that_came_back_is_not_forgotten_by_who_read_it_before,
        a_purge_leaves_it;
    stacks:
        who_waits_for_a_stack_is_found_by_project,
        a_project_is_looked_at_by_one_worker_at_a_time,
        a_turn_that_was_not_ended_passes_on,
        operations_are_woken_and_put_off_together,
        news_of_a_stack_reach_who_waits_for_it;
    periodic:
        a_task_is_one_workers_once_per_interval,
        a_task_that_nobody_did_in_time_is_done_once;
    outbox:
        a_message_that_cannot_be_read_holds_up_its_own_queue_only,
        a_claimed_message_is_nobody_elses,
        a_message_is_offered_again_when_its_claim_ends,
        its_writer_has_a_message_first,
        a_routing_key_keeps_its_order,
        two_workers_never_take_the_same_message;
}
