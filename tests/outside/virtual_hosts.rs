//! Which cases a virtual host of tests/vm leaves out, because another one runs the same.

use crate::cases;
use crate::support::needs::virtual_host;

/// Cases that no virtual host runs: on an emulated processor the neighbour who exchanges paths goes on after the last check, and a
/// moment that is to be met is over.
const NOT_ON_VIRTUAL_HOSTS: &[&str] = &["lifecycle_exec::a_signal_while_its_child_leaves", "races::"];

/// The virtual hosts that differ from `v2` in nothing but their cgroups and their mounts.
const LAYOUTS: &[&str] = &["v1", "v1-joined", "hybrid", "none", "odd-path", "moved", "nested"];

/// Cases of words, streams, signals, terminals and networks. They are the same on every layout, and run on the other virtual hosts.
const SAME_ON_EVERY_LAYOUT: &[&str] = &[
    "arguments::",
    "callers_group::",
    "cli::",
    "descriptors::",
    "docker::",
    "environment::",
    "exec_errors::",
    "init::",
    "input::",
    "interactive::",
    "lifecycle_detached::a_full_disk",
    "lifecycle_detached::a_log",
    "lifecycle_exec::mydocker_is_masked",
    "lifecycle_exec::the_host_is_not_seen",
    "lifecycle_exec::its_file_is_out_of_reach",
    "lifecycle_restart::a_first_start_that_hangs",
    "lifecycle_restart::a_start_that_hangs",
    "lifecycle_restart::its_restarts_end_for_good",
    "manual::",
    "network",
    "peers_ids::",
    "peers_limits::limits_of_every_resource",
    "peers_limits::parameters_of_the_kernel",
    "peers_limits::what_is_refused",
    "pipelines::",
    "pty::",
    "rehearsal::call_by_call_in_a_network",
    "rehearsal::it_only_looks",
    "relay::",
    "script::a_node",
    "script::a_script",
    "script::in_",
    "script::no_command",
    "script::the_",
    "script::what_",
    "script::with_",
    "settings::",
    "signals::",
    "status::",
    "step::",
    "streams::",
    "terminal::",
    "trace::",
];

/// Of those, the ones that `v1` runs too: what a bridge takes from the kernel, beside the groups of each hierarchy.
const ON_V1_TOO: &[&str] = &[
    "network::a_bridge_that_another_one_makes",
    "network::a_killed_mydocker_leaves_no_port",
    "network::a_port_leads_inside",
    "network::an_address_on_the_bridge",
    "network::names_on_the_bridge",
];

/// Of these layouts, those whose mounts are another matter too: a root that is not shared, and mounts that were moved.
const LAYOUTS_OF_MOUNTS: &[&str] = &["v1", "moved"];

/// Cases of roots, volumes, user namespaces, capabilities and records. They are the same on all layouts but these.
const SAME_WITH_THE_SAME_MOUNTS: &[&str] = &[
    "boundary::a_file_that_gives_privilege",
    "boundary::a_look_at_another_run",
    "boundary::a_user_file_without_end",
    "boundary::etc_files_that_lead_elsewhere",
    "boundary::files_of_the_run",
    "boundary::from_a_chroot",
    "boundary::messages_for_a_terminal",
    "boundary::nodes",
    "boundary::user_files_of_every_kind",
    "lifecycle::a_container_without_a_proc_of_its_own",
    "lifecycle::a_run_among_the_processes_of_another",
    "lifecycle::odd_files_in_a_record",
    "lifecycle::processes_and_ipc_of_another_container",
    "lifecycle_detached::a_name_is_made_up",
    "lifecycle_detached::a_thousand_processes",
    "lifecycle_detached::many_at_once",
    "lifecycle_detached::one_of_a_name_at_a_time",
    "lifecycle_detached::other_places_for_the_output",
    "lifecycle_detached::stop_by_another_signal",
    "lifecycle_exec::as_run_has_it_for_another_user",
    "lifecycle_exec::into_what_ends_meanwhile",
    "lifecycle_exec::many_at_once",
    "lifecycle_restart::a_keeper_stays_as_small_as_it_was",
    "lifecycle_restart::a_restart_does_not_read_the_log",
    "lifecycle_restart::its_name_is_written_once",
    "lifecycle_restart::other_signals_end_no_restarts",
    "lifecycle_restart::what_a_killed_run_has_not_written_in_whole",
    "namespaces::",
    "peers_mounts::",
    "privilege::added_and_dropped",
    "privilege::dropped_from_every_set",
    "privilege::one_thing_lifted",
    "privilege::set_user_id_programs_give_nothing",
    "privilege::the_",
    "privilege::what_",
    "rehearsal::call_by_call_as_an_ordinary_user",
    "rootfs",
    "rootless::",
    "script::as_an_ordinary_user",
    "stats::a_full_root",
    "stats::earlier_children_are_not_counted",
    "stats::json_under_any_name",
    "stats::no_signal_ends_what_never_ran",
    "verbs::exec",
    "verbs::logs",
    "verbs::ps",
    "verbs::wait",
];

/// Cases that take long for their amounts, or for how often they try: once, on `v2`, is enough, and so it is natively for an ordinary
/// user.
const AMOUNTS: &[&str] = &[
    "arguments::many_words",
    "arguments::more_than_the_kernel_takes",
    "lifecycle_detached::a_thousand_processes",
    "lifecycle_exec::mydocker_is_masked",
    "lifecycle_exec::the_host_is_not_seen",
    "manual::completions_know_every_option",
    "network::what_fails_costs_the_relay_no_memory",
    "network_relay::both_ways_at_once",
    "network_relay::connections_leave_nothing_in_it",
    "relay::a_hundred_megabytes",
    "relay::a_slow_reader_loses_nothing",
    "relay::memory_does_not_grow",
    "relay::waiting_costs_nothing",
    "rootfs_volumes::hundreds_of_targets",
    "signals::a_signal_during_the_start_is_not_lost",
];

/// Cases of scripts, whose text is that of any architecture. That which goes through the options stays on `aarch64`.
const SAME_ON_EVERY_ARCHITECTURE: &[&str] = &[
    "script::a_",
    "script::as_an_ordinary_user",
    "script::in_",
    "script::no_command",
    "script::the_",
    "script::what_",
    "script::with_",
];

/// Why a case does not run on this virtual host.
pub fn not_there(name: &str) -> Option<String> {
    let host = virtual_host()?;
    let is_one_of = |list: &[&str]| list.iter().any(|listed| name.starts_with(listed));
    if is_one_of(NOT_ON_VIRTUAL_HOSTS) {
        return Some("an emulated processor is too slow for it".into());
    }
    let is_same = match &*host {
        "aarch64" => is_one_of(AMOUNTS) || is_one_of(SAME_ON_EVERY_ARCHITECTURE),
        "delegated" => is_one_of(AMOUNTS),
        host if !LAYOUTS.contains(&host) => false,
        host => {
            let same_mounts = !LAYOUTS_OF_MOUNTS.contains(&host);
            let here_too = host == "v1" && is_one_of(ON_V1_TOO);
            is_one_of(SAME_ON_EVERY_LAYOUT) && !here_too || same_mounts && is_one_of(SAME_WITH_THE_SAME_MOUNTS)
        }
    };
    is_same.then(|| "it is the same as on v2".into())
}

/// A line of a list that names no case would leave out nothing, unseen.
pub fn check_lists() {
    let names: Vec<String> = cases::all().iter().map(|case| case.name()).collect();
    let lists = [
        NOT_ON_VIRTUAL_HOSTS,
        SAME_ON_EVERY_LAYOUT,
        ON_V1_TOO,
        SAME_WITH_THE_SAME_MOUNTS,
        AMOUNTS,
        SAME_ON_EVERY_ARCHITECTURE,
    ];
    for listed in lists.concat() {
        assert!(names.iter().any(|name| name.starts_with(listed)), "no case is called {listed}");
    }
}
