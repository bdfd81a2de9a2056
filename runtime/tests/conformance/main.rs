//! One suite for both implementations of each seam.
//!
//! A case is an async function of a [`Case`], which holds a runtime and a place of its own. [`every_case`] names them
//! all and makes a test of each for one [`World`]; a case that only one world passes is a defect of one of the two.

#![expect(clippy::unwrap_used, reason = "a case that can't go on fails there")]

mod clock;
mod disk_bytes;
mod disk_names;
mod net_files;
mod net_streams;
mod real;
mod simulated;
mod spawner;
mod world;

/// A test for each case, run in the given [`world::World`].
macro_rules! every_case {
    ($world:ident) => {
        crate::every_case! { $world => clock:
            a_sleep_does_not_end_early,
            a_deadline_that_has_passed_completes_at_once,
            timers_fire_in_the_order_of_their_deadlines,
            timers_of_one_moment_fire_in_the_order_in_which_they_were_set,
            now_never_goes_back,
            a_dropped_sleep_disturbs_no_other,
            an_earlier_sleep_overtakes_one_that_is_being_waited_for,
        }
        crate::every_case! { $world => spawner:
            a_task_runs_to_its_end,
            a_panic_ends_one_task_and_is_reported,
            an_aborted_task_ends_where_it_waits,
            aborting_a_finished_task_changes_nothing,
            a_task_outlives_its_handle,
            tasks_run_beside_each_other,
            a_task_starts_tasks,
            a_task_apart_ends_as_any_other,
        }
        crate::every_case! { $world => net_streams:
            what_is_sent_comes_back,
            each_end_knows_the_other,
            a_half_closed_connection_still_carries_the_answer,
            dropping_both_halves_ends_the_stream,
            parts_arrive_in_order_and_without_gaps,
            a_read_takes_no_more_than_there_is_room_for,
            much_data_passes_both_ways_at_once,
            a_connection_that_nobody_reads_stops_taking_bytes,
            a_connection_is_usable_before_it_is_accepted,
            several_connections_keep_apart,
            accepting_goes_on_after_a_client_that_left,
            connections_outlive_their_listener,
            an_address_in_use_is_refused,
            an_address_is_free_again_after_its_listener,
            connecting_where_nobody_listens_is_refused,
            writing_to_an_end_that_is_gone_fails,
            a_literal_address_resolves_to_itself,
        }
        crate::every_case! { $world => net_files:
            ranges_of_a_file_arrive_whole,
            files_and_bytes_arrive_in_the_order_in_which_they_were_sent,
            a_large_range_arrives_in_several_sends,
            an_empty_range_sends_nothing,
            a_range_beyond_the_file_is_an_unexpected_end,
            a_removed_file_can_still_be_sent,
        }
        crate::every_case! { $world => disk_bytes:
            what_is_written_is_read,
            many_parts_are_written_in_order,
            a_write_of_nothing_changes_nothing,
            a_write_beyond_the_end_leaves_zeros_before_it,
            writes_in_flight_together_all_land,
            a_read_past_the_end_is_short,
            a_huge_read_of_a_small_file_is_short,
            truncating_shortens_and_extends_with_zeros,
            preallocating_keeps_the_length,
            two_openings_of_a_file_see_the_same_bytes,
            a_file_opened_for_reading_takes_no_writes,
            several_files_are_synced_with_a_result_each,
            a_resident_read_is_all_or_nothing,
            bytes_past_the_end_are_not_read_as_resident,
            a_mapped_file_shows_its_bytes,
            an_empty_file_maps_to_nothing,
            only_a_write_may_complete_inside_the_submitting_call,
        }
        crate::every_case! { $world => disk_names:
            opening_modes_differ_in_what_must_exist,
            creating_keeps_what_is_there,
            a_directory_is_made_with_those_above_it,
            a_directory_lists_in_ascending_order,
            renaming_replaces_in_one_step,
            an_open_file_follows_its_new_name,
            a_directory_can_be_renamed_with_what_is_in_it,
            a_removed_file_can_still_be_read,
            a_removed_directory_takes_everything_with_it,
            what_does_not_exist_is_not_found,
            names_can_be_made_durable,
            a_lock_excludes_until_it_is_dropped,
            a_whole_file_is_read_into_memory,
            room_is_counted,
        }
    };
    ($world:ident => $module:ident: $($case:ident,)*) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    <super::$world as crate::world::World>::run(crate::$module::$case);
                }
            )*
        }
    };
}
pub(crate) use every_case;
