//! Out of memory: which process is killed, and what mydocker reports.

use crate::cases::lifecycle::Records;
use crate::support::harness::{probe, probe_file, unique_name};
use crate::support::needs::Needs;

fn mib(count: usize) -> String {
    (count << 20).to_string()
}

case!(more_than_the_limit_is_killed, Needs::NAMESPACES | Needs::MEMORY);
/// One line with the limit, and no hint: the caller chose the limit.
fn more_than_the_limit_is_killed() {
    let outcome = probe(&["-m", "100m"], &["eat", &mib(200)]).finish();
    outcome.refused(137, &["memory", "104857600"]);
    // The message also has the peak: it can be neither below the usage at which the kernel kills, nor above the limit.
    assert!(outcome.stderr_text().contains("peak"), "{outcome:?}");
    assert!(!outcome.stderr_text().contains("-m"), "{outcome:?}");
}

case!(less_than_the_limit_is_not, Needs::NAMESPACES | Needs::MEMORY);
fn less_than_the_limit_is_not() {
    probe(&["-m", "100m"], &["eat", &mib(90)]).finish().silent(0);
}

case!(the_default_limit_is_said_to_be_one, Needs::NAMESPACES | Needs::MEMORY);
fn the_default_limit_is_said_to_be_one() {
    let outcome = probe(&[], &["eat", &mib(300)]).finish();
    outcome.refused(137, &["memory", "209715200", "default", "-m"]);
    probe(&[], &["eat", &mib(190)]).finish().silent(0);
}

case!(without_a_limit_it_is_not_killed, Needs::NAMESPACES | Needs::MEMORY);
fn without_a_limit_it_is_not_killed() {
    for options in [["-m", "max"].as_slice(), &["--no-limits"], &["-m", "400m"]] {
        probe(options, &["eat", &mib(300)]).finish().silent(0);
    }
}

case!(a_kill_below_the_command_is_said_too, Needs::NAMESPACES | Needs::MEMORY);
/// The command survives and exits with a status of its own: the line is printed whatever that status is.
fn a_kill_below_the_command_is_said_too() {
    let outcome = probe(&["-m", "100m"], &["child-eats", &mib(200)]).finish();
    // The status is what the command reports of its child: 128 + 9.
    outcome.refused(137, &["memory", "104857600"]);
    probe(&["-m", "100m"], &["child-eats", &mib(90)]).finish().silent(0);
}

case!(a_status_of_137_alone_is_no_kill, Needs::NAMESPACES | Needs::MEMORY);
fn a_status_of_137_alone_is_no_kill() {
    probe(&["-m", "100m"], &["status", "137"]).finish().silent(137);
}

case!(a_kill_of_another_process_is_not_the_end, Needs::NAMESPACES | Needs::MEMORY | Needs::SH | Needs::SLEEP);
/// `ps` gives no reason for an end that has another one.
fn a_kill_of_another_process_is_not_the_end() {
    let (records, name, file) = (Records::new(), unique_name(), probe_file());
    records.detached(&name, &["-m", "40m"], "exec sleep 1000");
    let eat = [&name, file.to_str().expect("UTF-8"), "--probe", "eat", &mib(100)];
    assert_eq!(records.call("exec", &eat).code(), 137);
    records.call("stop", &[&name]).success();
    let text = records.call("ps", &["-a"]).success();
    assert!(text.contains("exited (143) ") && !text.contains("out of memory"), "{text}");
    let json = records.call("ps", &["-a", "--json"]).success();
    assert!(json.contains("\"out_of_memory\":true"), "{json}");
    records.remove(&name);
}
