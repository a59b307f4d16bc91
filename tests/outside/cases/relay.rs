//! `-t` without a terminal on standard input, and everything that the relay must carry: the end of the input, every
//! byte value, large amounts, slow data; and it must not burn processor time.

use crate::probes::terminal::{pattern, pattern_bytes};
use crate::support::folder::Folder;
use crate::support::harness::{Run, Running, probe, run, waiting_container};
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::outcome::Outcome;
use crate::support::processes::{anonymous_kib, cpu_ticks, state, wait_until};
use crate::support::user_terminal::{UserTerminal, in_terminal};
use libc::SIGTERM;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into()
}

/// A pipe: the file to read from and the file to write to.
fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).expect("pipe")
}

fn with_input(run: Run, input: &[u8]) -> Outcome {
    let mut running = run.start();
    running.write_stdin(input);
    running.finish()
}

case!(input_and_its_end, Needs::NAMESPACES);
/// `cat` by any name: each line appears twice, once as the terminal's echo, once from the command.
fn input_and_its_end() {
    for options in [&["-t"][..], &["-t", "--init"]] {
        for (input, output) in [
            (&b"line\n"[..], &b"line\r\nline\r\n"[..]),
            (b"no end of line", b"no end of lineno end of line"),
            (b"one\ntwo", b"one\r\ntwoone\r\ntwo"),
            (b"\n", b"\r\n\r\n"),
        ] {
            let outcome = with_input(probe(options, &["echo"]), input);
            let sorted = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                bytes.sort();
                bytes
            };
            // Echo and answer may appear in either order; nothing may be missing.
            assert_eq!(sorted(&outcome.stdout), sorted(output), "{outcome:?}");
            outcome.silent(0);
        }
    }
}

case!(the_end_reaches_shells_that_edit_lines, Needs::NAMESPACES | Needs::BASH);
/// A shell with line editing turns the terminal's line mode off: it expects Ctrl-D, whenever it reads.
fn the_end_reaches_shells_that_edit_lines() {
    let bash = ["bash", "--norc", "--noprofile"];
    let mut early = run(&["-t"], &bash).start();
    early.write_stdin(b"echo sum$((1+1))\n");
    let outcome = early.finish();
    assert!(outcome.stdout_text().contains("sum2"), "{outcome:?}");
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let mut later = run(&["-t"], &bash).start();
    later.write_stdin(b"echo sum$((1+1))\n");
    later.await_output("sum2");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(later.finish().code(), 0);
    assert_eq!(run(&["-t"], &bash).finish().code(), 0);
}

case!(an_end_that_was_heard_is_told_again, Needs::NAMESPACES | Needs::SH | Needs::STTY);
/// A file that has ended has ended for every reader: for each command of a shell, and for the shell itself.
fn an_end_that_was_heard_is_told_again() {
    for (script, input) in [
        ("exec sh", &b"cat\n"[..]),
        ("cat; read x; read y; cat", b"a\n"),
        ("cat; sleep 0.1; read x", b"no end of line"),
        ("cat; stty raw -echo; echo; stty -raw echo; cat", b""),
    ] {
        for options in [&["-t"][..], &["-t", "--init"]] {
            let outcome = with_input(run(options, &["sh", "-c", &format!("{script}; echo end$((1+1))")]), input);
            assert!(outcome.stdout_text().contains("end2") || script == "exec sh", "{script}: {outcome:?}");
            outcome.silent(0);
        }
    }
    // A shell with line editing, and a command in it that uses line mode.
    if Needs::BASH.missing().is_none() {
        with_input(run(&["-t"], &["bash", "--norc", "--noprofile"]), b"cat\n").silent(0);
    }
}

case!(no_input_at_all, Needs::NAMESPACES);
fn no_input_at_all() {
    for options in [&["-t"][..], &["-t", "--init"], &["-t", "--pid", "host"]] {
        let outcome = probe(options, &["echo"]).start_on([null(), null(), null()]).finish_with_stdin_open();
        assert_eq!(outcome.code(), 0, "{options:?}");
        assert_eq!(probe(options, &["echo"]).finish().success(), "", "{options:?}");
    }
}

case!(both_outputs_are_one, Needs::NAMESPACES | Needs::SH);
fn both_outputs_are_one() {
    let outcome = run(&["-t"], &["sh", "-c", "echo out; echo err >&2; exit 3"]).finish();
    outcome.silent(3);
    assert_eq!(outcome.stdout_text(), "out\r\nerr\r\n");
}

case!(every_byte_value_both_ways, Needs::NAMESPACES);
fn every_byte_value_both_ways() {
    let bytes: Vec<u8> = (0..4096u32).map(|n| (n ^ n >> 8) as u8).collect();
    for part in [bytes.len(), 7, 1000] {
        let mut mirror = probe(&["-t"], &["mirror", &bytes.len().to_string()]).start();
        mirror.await_output("ready\n");
        bytes.chunks(part).for_each(|chunk| mirror.write_stdin(chunk));
        mirror.finish().silent_bytes(&[b"ready\n", bytes.as_slice()].concat());
    }
}

/// Writes to a pipe for as long as somebody reads it.
fn pour(into: OwnedFd, what: u8) {
    thread::spawn(move || {
        let mut file = File::from(into);
        while file.write_all(&[what; 1 << 16]).is_ok() {}
    });
}

case!(more_input_than_the_command_takes, Needs::NAMESPACES);
/// `yes | mydocker run -t true`: the command does not read its input, and its exit ends the run.
fn more_input_than_the_command_takes() {
    for (words, status) in [(&["status", "7"][..], 7), (&["mirror", "10"], 0), (&["deaf"], 5)] {
        for options in [&["-t"][..], &["-t", "--init"]] {
            for what in [b'y', b'\n'] {
                let (stdin, writer) = pipe();
                pour(writer, what);
                let outcome = probe(options, words).start_on([stdin, null(), null()]).finish_with_stdin_open();
                assert_eq!(outcome.code(), status, "{options:?} {words:?}");
            }
        }
    }
    // A command that stays and reads nothing can still be ended.
    let (stdin, writer) = pipe();
    pour(writer, b'\n');
    let running = run(&["-t"], &["sleep", "100000"]).start_on([stdin, null(), null()]);
    running.await_signal_handling();
    thread::sleep(Duration::from_millis(300));
    running.send(SIGTERM);
    assert_eq!(running.finish_with_stdin_open().code(), 128 + SIGTERM);
}

case!(input_waits_for_a_command_that_writes_first, Needs::NAMESPACES);
/// The command reads nothing before it has written a lot: a relay that waits for it to read would wait for ever.
fn input_waits_for_a_command_that_writes_first() {
    const COUNT: usize = 300_000;
    let mut running = probe(&["-t"], &["take", "1000000", &COUNT.to_string()]).start();
    running.await_output("ready\n");
    running.write_stdin_in_background(pattern_bytes(COUNT));
    let outcome = running.finish();
    outcome.silent(0);
    let text = outcome.stdout_text();
    assert!(text.ends_with(".all there\n"), "{}", &text[text.len() - 40..]);
    assert_eq!(text.matches('.').count(), 1_000_000);
}

case!(a_lot_of_input_arrives_whole, Needs::NAMESPACES);
fn a_lot_of_input_arrives_whole() {
    const COUNT: usize = 5_000_000;
    let mut running = probe(&["-t"], &["take", "0", &COUNT.to_string()]).start();
    running.await_output("ready\n");
    running.write_stdin_in_background(pattern_bytes(COUNT));
    assert_eq!(running.finish().success(), "ready\nall there\n");
}

/// Starts the run with its output in a pipe that the case reads itself, and mydocker's messages in a file.
fn piped(run: Run, stdin: OwnedFd, folder: &Folder) -> (Running, File) {
    let (reader, writer) = pipe();
    let messages = File::create(folder.path("messages")).expect("a file");
    (run.start_on([stdin, writer, messages.into()]), File::from(reader))
}

/// Reads to the end, and compares every byte with the pattern.
fn compare(mut from: impl Read, count: usize) {
    const BLOCK: usize = 1 << 16;
    let (mut pattern, mut total) = (pattern(), 0);
    let (mut block, mut expected) = (Vec::with_capacity(BLOCK), vec![0; BLOCK]);
    while from.by_ref().take(BLOCK as u64).read_to_end(&mut block).expect("read") > 0 {
        let expected = &mut expected[..block.len()];
        pattern.fill(expected);
        assert!(block == expected, "other bytes after {total}");
        total += block.len();
        block.clear();
    }
    assert_eq!(total, count, "bytes");
}

case!(a_hundred_megabytes, Needs::NAMESPACES);
/// 10 MB first: if these already take seconds, as on an emulated machine, they are enough.
fn a_hundred_megabytes() {
    let folder = Folder::new();
    for count in [10_000_000, 100_000_000] {
        let start = Instant::now();
        let (running, output) = piped(probe(&["-t"], &["flood", &count.to_string()]), null(), &folder);
        compare(output, count);
        assert_eq!(running.finish_with_stdin_open().code(), 0);
        assert_eq!(std::fs::read(folder.path("messages")).expect("messages"), b"");
        if start.elapsed() > Duration::from_secs(4) {
            note(format!("relay::a_hundred_megabytes: stopped after {count} bytes, which took {:?}", start.elapsed()));
            break;
        }
    }
}

case!(a_slow_reader_loses_nothing, Needs::NAMESPACES);
/// The reader comes after the command has ended, or while it waits for the reader; meanwhile the input ends, or brings
/// more.
fn a_slow_reader_loses_nothing() {
    let folder = Folder::new();
    for count in [5_000, 70_000, 84_000, 90_000, 110_000, 500_000] {
        for late_input in [&b""[..], b"more", b"\n\n\x04"] {
            for options in [&["-t"][..], &["-t", "--init"]] {
                let (stdin, writer) = pipe();
                let run = probe(options, &["flood", &count.to_string()]);
                let (running, mut output) = piped(run, stdin, &folder);
                // Once the first byte has arrived, the terminal no longer echoes.
                let mut first = [0];
                output.read_exact(&mut first).expect("read");
                thread::sleep(Duration::from_millis(40));
                // A small amount has been taken completely by now, and mydocker has ended.
                rustix::io::write(&writer, late_input).ok();
                drop(writer);
                thread::sleep(Duration::from_millis(20));
                compare(first.chain(output), count);
                assert_eq!(running.finish_with_stdin_open().code(), 0, "{count} {late_input:?} {options:?}");
                assert_eq!(std::fs::read(folder.path("messages")).expect("messages"), b"");
            }
        }
    }
}

case!(a_writer_that_outlives_the_command, Needs::NAMESPACES);
/// The command's exit ends the container: the processes that it leaves behind can neither delay nor break that.
fn a_writer_that_outlives_the_command() {
    for options in [&["-t"][..], &["-t", "--init"], &["-t", "--pid", "host"], &["-t", "--init", "--pid=host"]] {
        for how in ["300", "for-ever"] {
            let outcome = probe(options, &["late", how]).finish();
            outcome.silent(3);
            let text = outcome.stdout_text();
            assert!(text == "early\r\n" || text == "early\r\nlate\r\n", "{options:?}: {text:?}");
        }
    }
    // The output of a background process arrives while the command still runs.
    if Needs::SH.missing().is_none() {
        let outcome = run(&["-t"], &["sh", "-c", "(sleep 0.2; echo late) & echo early; wait; exit 4"]).finish();
        outcome.silent(4);
        assert_eq!(outcome.stdout_text(), "early\r\nlate\r\n");
    }
}

case!(a_command_that_closes_its_terminal, Needs::NAMESPACES);
fn a_command_that_closes_its_terminal() {
    for options in [&["-t"][..], &["-t", "--init"]] {
        probe(options, &["deaf"]).finish().silent(5);
        let running = probe(options, &["deaf"]).start();
        // Standard input stays open: only the command's exit can end the run.
        running.finish_with_stdin_open().silent(5);
    }
}

case!(a_command_that_closes_its_terminal_and_opens_it_again, Needs::NAMESPACES);
/// As a program does that asks for a password, whatever its streams are.
fn a_command_that_closes_its_terminal_and_opens_it_again() {
    for options in [&["-t"][..], &["-t", "--init"], &["-t", "--pid", "host"]] {
        let mut running = probe(options, &["reopen"]).start();
        running.await_output("who?");
        running.write_stdin(b"me\n");
        let outcome = running.finish_with_stdin_open();
        outcome.silent(0);
        assert!(outcome.stdout_text().contains("hello me"), "{outcome:?}");
    }
}

case!(closed_streams, Needs::NAMESPACES);
fn closed_streams() {
    for closed in 1..8 {
        let close = move || {
            for descriptor in 0..3 {
                if closed >> descriptor & 1 == 1 {
                    // SAFETY: close takes an integer, in the new process's own descriptor table
                    unsafe { libc::close(descriptor) };
                }
            }
            Ok(())
        };
        for options in [&["-t"][..], &["-t", "--init"]] {
            let outcome = probe(options, &["status", "7"]).before(close).finish();
            assert_eq!(outcome.code(), 7, "closed {closed:03b}: {outcome:?}");
            let outcome = probe(options, &["flood", "200000"]).before(close).finish();
            assert_eq!(outcome.code(), 0, "closed {closed:03b}");
            assert_eq!(outcome.stdout.len(), if closed & 2 == 0 { 200_000 } else { 0 }, "closed {closed:03b}");
            let outcome = run(options, &["no-such-tool"]).before(close).finish();
            assert_eq!(outcome.code(), 127, "closed {closed:03b}");
        }
    }
}

case!(an_output_that_takes_nothing, Needs::NAMESPACES);
/// A full disk: reported once, and the command does not wait for a reader that never comes.
fn an_output_that_takes_nothing() {
    let folder = Folder::new();
    for count in ["10", "10000000"] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let messages = File::create(folder.path("messages")).expect("a file");
        let running = probe(&["-t"], &["flood", count]).start_on([null(), full.into(), messages.into()]);
        running.finish_with_stdin_open().code();
        let said = std::fs::read_to_string(folder.path("messages")).expect("messages");
        assert!(said.starts_with("mydocker: ") && said.contains("ENOSPC"), "{said:?}");
        assert_eq!(said.lines().count(), 1, "{said:?}");
    }
}

case!(a_signal_ends_it_while_nobody_reads, Needs::NAMESPACES | Needs::TERMINAL);
/// Pending output does not delay a signal of the user.
fn a_signal_ends_it_while_nobody_reads() {
    let folder = Folder::new();
    for options in [&["-t"][..], &["-t", "--init"]] {
        let (running, _output) = piped(probe(options, &["flood", "100000000"]), null(), &folder);
        running.await_signal_handling();
        thread::sleep(Duration::from_millis(300));
        running.send(SIGTERM);
        assert_eq!(running.finish_with_stdin_open().code(), 128 + SIGTERM, "a pipe, {options:?}");
        let inside = in_terminal(probe(options, &["flood", "100000000"]));
        let before = UserTerminal::new().settings();
        inside.running.await_signal_handling();
        thread::sleep(Duration::from_millis(300));
        inside.running.send(SIGTERM);
        assert_eq!(inside.running.finish_with_stdin_open().code(), 128 + SIGTERM, "a terminal, {options:?}");
        assert_eq!(inside.terminal.settings(), before);
    }
}

case!(last_words_after_a_signal_arrive, Needs::NAMESPACES);
/// The output that a command writes when it is told to end must arrive, however much it is.
fn last_words_after_a_signal_arrive() {
    let folder = Folder::new();
    for round in 0..20 {
        for count in [10, 150_000] {
            let (running, mut output) = piped(probe(&["-t"], &["last-words", &count.to_string()]), null(), &folder);
            let mut ready = [0; 7];
            output.read_exact(&mut ready).expect("read");
            running.send(SIGTERM);
            compare(output, count);
            assert_eq!(running.finish_with_stdin_open().code(), 7, "round {round}");
        }
    }
}

case!(waiting_costs_nothing, Needs::NAMESPACES | Needs::TERMINAL | Needs::SLEEP);
/// The processor time that mydocker uses in half a second, in each state in which it waits.
fn waiting_costs_nothing() {
    let folder = Folder::new();
    let sleep = ["sleep", "100000"];
    let idle = |what: &str, running: Running| {
        let pid = running.pid;
        running.await_signal_handling();
        let used = || {
            let before = cpu_ticks(pid);
            thread::sleep(Duration::from_millis(500));
            cpu_ticks(pid) - before
        };
        // On a slow host the start uses time as well; a busy loop would use it for ever.
        thread::sleep(Duration::from_millis(200));
        let least = (0..6).map(|_| used()).find(|used| *used <= 2);
        assert!(least.is_some(), "{what}: mydocker never sleeps");
        // mydocker may wake once in between, as at a terminal whose input has ended; it must be asleep in the end.
        wait_until(what, || state(pid) == Some('S'));
        running.send(SIGTERM);
        running.finish_with_stdin_open();
    };
    for options in [&["-t"][..], &["-t", "--init"], &[], &["-t", "--pid", "host"]] {
        let inside = in_terminal(run(options, &sleep));
        idle("in a terminal", inside.running);
        let running = run(options, &sleep).start_on([null(), null(), null()]);
        idle("no input", running);
        let (running, output) = piped(run(options, &sleep), null(), &folder);
        drop(output);
        idle("an output whose reader is gone", running);
        let streams = [UserTerminal::new().stream(), null(), null()];
        let running = run(options, &sleep).start_on(streams);
        idle("a terminal that has gone away", running);
    }
    let (running, _output) = piped(probe(&["-t"], &["flood", "100000000"]), null(), &folder);
    idle("output full", running);
    let (running, _output) = piped(probe(&["-t"], &["flood", "84000"]), null(), &folder);
    idle("output full and the command gone", running);
    let (stdin, _writer) = pipe();
    let (running, _output) = piped(probe(&["-t"], &["flood", "84000"]), stdin, &folder);
    idle("output full, the command gone, input open", running);
    for what in [b'\n', b'y'] {
        let (stdin, writer) = pipe();
        pour(writer, what);
        // A line that a terminal assembles has limited room: the excess is dropped, as from a keyboard.
        if what == b'\n' {
            idle("more input than is taken", run(&["-t"], &sleep).start_on([stdin, null(), null()]));
        }
        let (stdin, writer) = pipe();
        pour(writer, what);
        let (running, _output) = piped(probe(&["-t"], &["flood", "84000"]), stdin, &folder);
        idle("more input than is taken, output full and the command gone", running);
    }
    let (stdin, _writer) = pipe();
    let running = probe(&["-t"], &["mirror", "1"]).start_on([stdin, null(), null()]);
    idle("raw", running);
}

case!(memory_does_not_grow, Needs::NAMESPACES);
/// The memory of a waiting mydocker, and that none of the relayed data stays in it.
fn memory_does_not_grow() {
    let folder = Folder::new();
    let waiting = |options: &[&str]| {
        let running = waiting_container(options);
        let memory = anonymous_kib(running.pid);
        assert_eq!(running.finish().code(), 0);
        memory
    };
    let (without, with) = (waiting(&[]), waiting(&["-t"]));
    assert!(with <= without + 64, "{with} KiB Anonymous with -t, {without} without");
    let (running, mut output) = piped(probe(&["-t"], &["flood", "20000000"]), null(), &folder);
    // As long as nobody reads, mydocker buffers as much as it ever does.
    let mut early = 0;
    wait_until("its buffer is full", || {
        let before = std::mem::replace(&mut early, anonymous_kib(running.pid));
        thread::sleep(Duration::from_millis(100));
        early >= with + 32 && early == before
    });
    let mut block = vec![0; 1_000_000];
    for _ in 0..19 {
        output.read_exact(&mut block).expect("read");
    }
    assert_eq!(anonymous_kib(running.pid), early, "KiB Anonymous after 19 MB and with a full buffer");
    output.read_to_end(&mut block).expect("read");
    assert_eq!(running.finish_with_stdin_open().code(), 0);
    let mut inside = in_terminal(probe(&["-t"], &["catch", "2", "28"]));
    inside.await_screen("ready");
    let mut early = 0;
    for round in 1..=2000u16 {
        match round % 2 {
            0 => inside.press(b"\x03"),
            _ => inside.terminal.resize(round, 80),
        }
        if round == 200 {
            early = anonymous_kib(inside.running.pid);
        }
        if round % 50 == 0 {
            inside.terminal.screen();
        }
    }
    let late = anonymous_kib(inside.running.pid);
    assert!(late <= early + 8, "{early} KiB Anonymous after 200 keys and sizes, {late} after 2000");
    inside.press(b"\x04");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
}
