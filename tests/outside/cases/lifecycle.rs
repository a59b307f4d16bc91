//! Containers with a record: `run --name`, `ps`, `rm`. Each case has a folder of records of its own.

use crate::support::folder::Folder;
use crate::support::harness::{Run, Running, mydocker, mydocker_file, probe, probe_words, run, unique_name};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::outcome::Outcome;
use crate::support::processes::{children, send, state, wait_for_end, wait_until};
use crate::support::roots::Root;
use rustix::fs::{CWD, FileType, mknodat};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

/// A folder of records, which a case has for itself.
pub struct Records(Folder);

/// A case that has failed leaves no container: nobody would find it without its record.
impl Drop for Records {
    fn drop(&mut self) {
        let names = fs::read_dir(self.state()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        if std::thread::panicking() {
            let mut command = Command::new("timeout");
            command.arg("20").arg(mydocker_file()).args(["rm", "-f", "--state", &self.state()]).args(names);
            let _ = command.output();
        }
    }
}

impl Records {
    pub fn new() -> Records {
        let folder = Folder::new();
        fs::create_dir(folder.path("records")).expect("mkdir");
        fs::set_permissions(folder.path("records"), fs::Permissions::from_mode(0o700)).expect("chmod");
        Records(folder)
    }

    /// The folder itself.
    pub fn state(&self) -> String {
        self.0.text("records")
    }

    /// `run --state FOLDER OPTIONS` with the probe `words` as its command.
    pub fn probe(&self, options: &[&str], words: &[&str]) -> Run {
        probe(&[&["--state", &self.state()], options].concat(), words)
    }

    /// `run --state FOLDER OPTIONS COMMAND`
    pub fn run(&self, options: &[&str], command: &[&str]) -> Run {
        run(&[&["--state", &self.state()], options].concat(), command)
    }

    /// `mydocker VERB --state FOLDER WORDS`
    pub fn call(&self, verb: &str, words: &[&str]) -> Outcome {
        self.verb(verb, words).finish()
    }

    pub fn verb(&self, verb: &str, words: &[&str]) -> Run {
        mydocker(&[&[verb, "--state", &self.state()], words].concat())
    }

    /// A container in the foreground that waits for the end of its input.
    pub fn waiting(&self, name: &str) -> Running {
        let running = self.probe(&["--name", name], &["hold"]).start_ready();
        self.await_state(name);
        running
    }

    /// Waits until mydocker has noted that the command is executed: it may be ahead of that.
    pub fn await_state(&self, name: &str) {
        let state = self.folder_of(name).join("state");
        wait_until("the container is noted", || state.exists());
    }

    /// `run -d --name NAME OPTIONS sh -c SCRIPT`: a container in the background.
    pub fn detached(&self, name: &str, options: &[&str], script: &str) {
        self.detached_in(name, options, &["sh", "-c", script]);
    }

    /// `run -d --name NAME OPTIONS COMMAND`
    pub fn detached_in(&self, name: &str, options: &[&str], command: &[&str]) {
        let all = [&["-d", "--name", name], options].concat();
        assert_eq!(self.run(&all, command).start().reap().success(), format!("{name}\n"));
    }

    /// The folder of its record.
    pub fn folder_of(&self, name: &str) -> std::path::PathBuf {
        self.0.path(&format!("records/{name}"))
    }

    /// The pid on the host of its first process.
    pub fn pid(&self, name: &str) -> i32 {
        let state = fs::read_to_string(self.folder_of(name).join("state")).expect("state");
        let line = state.lines().find_map(|line| line.strip_prefix("pid ")).expect("pid");
        line.trim().parse().expect("a number")
    }

    /// Ends and removes a container, and checks that nothing of it is left.
    pub fn remove(&self, name: &str) {
        assert_eq!(self.call("rm", &["-f", name]).success(), format!("{name}\n"));
        assert!(!self.left().contains(&name.to_string()));
        let left = host().directories(&format!("mydocker-{name}"));
        assert!(left.is_empty(), "{left:?}");
    }

    /// The names that `ps` lists with these options.
    pub fn names(&self, options: &[&str]) -> Vec<String> {
        let text = self.call("ps", &[&["-q"], options].concat()).success();
        text.lines().map(String::from).collect()
    }

    /// The folders that are there.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path("records")).expect("records");
        entries.map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8")).collect()
    }
}

case!(a_name_is_listed_as_long_as_it_runs, Needs::NAMESPACES);
fn a_name_is_listed_as_long_as_it_runs() {
    let records = Records::new();
    assert_eq!(records.call("ps", &[]).success(), "NAME  STATUS  COMMAND  PID  MEMORY  PORTS\n");
    let running = records.waiting("lc-listed");
    let pid = running.command_pid().to_string();
    assert_eq!(records.names(&[]), ["lc-listed"]);
    let table = records.call("ps", &[]).success();
    let line = table.lines().nth(1).expect("a line");
    assert!(line.starts_with("lc-listed  running ") && line.contains(" second"), "{table}");
    assert!(line.split_whitespace().any(|word| word == pid), "{pid}: {table}");
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    let json = records.call("ps", &["--json"]).success();
    assert!(json.starts_with("{\"name\":\"lc-listed\",\"state\":\"running\",\"command\":\"/"), "{json}");
    assert!(
        json.contains(&format!("\"pid\":{pid},")) && json.ends_with("\"out_of_memory\":false,\"timed_out\":false}\n"),
        "{json}"
    );
    running.finish().success();
    // A run in the foreground has given its status to its caller.
    assert_eq!(records.names(&["-a"]), [""; 0]);
    assert_eq!(records.left(), [""; 0]);
}

case!(a_command_in_json, Needs::NAMESPACES | Needs::SH);
/// It decodes to the words, with blanks between them; where they are cut, that can be seen.
fn a_command_in_json() {
    let records = Records::new();
    let odd = " : \"a\\b\" '\u{e9}\t\u{1}\u{202e}'\n ";
    for (words, shown) in [
        (["sh", "-c", odd, "", ""], format!("sh -c {odd}  ")),
        (["sh", "-c", ":", &"\"".repeat(300), ""], format!("sh -c : {}...", "\"".repeat(94))),
        (["sh", "-c", ":", "x", &"\u{1}".repeat(300)], format!("sh -c : x {}...", "\u{1}".repeat(46))),
    ] {
        let name = unique_name();
        records.detached_in(&name, &["-i"], &words);
        records.call("wait", &[&name]).success();
        let json: serde_json::Value =
            serde_json::from_str(&records.call("ps", &["-a", "--json"]).success()).expect("JSON");
        assert_eq!(json["command"], shown);
        records.remove(&name);
    }
}

case!(memory_in_use_and_its_limit, Needs::NAMESPACES | Needs::MEMORY | Needs::MOUNTED);
fn memory_in_use_and_its_limit() {
    let records = Records::new();
    let running = records.probe(&["--name", "lc-memory", "-m", "100m"], &["hold"]).start_ready();
    records.await_state("lc-memory");
    let table = records.call("ps", &[]).success();
    assert!(table.lines().nth(1).is_some_and(|line| line.ends_with(" / 100M")), "{table}");
    let json = records.call("ps", &["--json"]).success();
    assert!(json.contains("\"memory_limit\":104857600,"), "{json}");
    running.finish().success();
}

case!(options_behind_the_name, Needs::NAMESPACES | Needs::SLEEP);
/// As docker takes them.
fn options_behind_the_name() {
    let records = Records::new();
    for verb in ["stop", "kill", "rm"] {
        let name = unique_name();
        records.run(&["-d", "--name", &name], &["sleep", "1000"]).start().reap().success();
        let options: &[&str] = match verb {
            "stop" => &["-t", "0"],
            "kill" => &["--signal=KILL"],
            _ => &["-f"],
        };
        assert_eq!(records.call("logs", &[&name, "-n", "1", "-t"]).success(), "");
        records.call("logs", &[&name, "-x"]).usage_error(&["unknown option", "-x"]);
        assert_eq!(records.call(verb, &[&[&name[..]], options].concat()).success(), format!("{name}\n"));
        if verb != "rm" {
            records.remove(&name);
        }
        assert_eq!(records.left(), [""; 0]);
    }
}

case!(filters, Needs::NAMESPACES);
fn filters() {
    let records = Records::new();
    let all = [records.waiting("lc-web-1"), records.waiting("lc-web-2"), records.waiting("lc-db")];
    assert_eq!(records.names(&[]), ["lc-db", "lc-web-1", "lc-web-2"]);
    assert_eq!(records.names(&["--filter", "name=web"]), ["lc-web-1", "lc-web-2"]);
    assert_eq!(records.names(&["-f", "name=web", "-f", "status=running"]), ["lc-web-1", "lc-web-2"]);
    assert_eq!(records.names(&["-f", "status=exited"]), [""; 0]);
    assert_eq!(records.names(&["-f", "status=dead"]), [""; 0]);
    // Of one key, one must hold.
    assert_eq!(records.names(&["-f", "name=web-1", "-f", "name=db"]), ["lc-db", "lc-web-1"]);
    assert_eq!(records.names(&["-f", "status=exited", "-f", "status=running", "-f", "name=db"]), ["lc-db"]);
    for (part, found) in [("^lc-w", 2), ("^web", 0), ("db$", 1), ("web$", 0), ("^lc-db$", 1), ("^lc-d$", 0)] {
        assert_eq!(records.names(&["-f", &format!("name={part}")]).len(), found, "{part}");
    }
    for bad in ["size=1", "name=", "name", "="] {
        records.call("ps", &["-f", bad]).usage_error(&["--filter", bad]);
        Records::new().call("ps", &["-f", bad]).usage_error(&["--filter", bad]);
    }
    records.call("ps", &["-f", "status="]).usage_error(&["status"]);
    records.call("ps", &["-f", "status=runing"]).usage_error(&["status", "runing"]);
    for running in all {
        running.finish().success();
    }
}

case!(a_command_that_is_not_executed_leaves_no_record, Needs::NAMESPACES);
fn a_command_that_is_not_executed_leaves_no_record() {
    let records = Records::new();
    records.run(&["--name", "lc-nothing"], &["/no/such"]).finish().refused(127, &["/no/such"]);
    records.run(&["--name", "lc-nothing"], &["/"]).finish().refused(126, &["/"]);
    records.run(&["--name", "lc-nothing", "--rootfs", "/no/root"], &["true"]).finish().refused(125, &["/no/root"]);
    assert_eq!(records.left(), [""; 0]);
}

case!(a_name_that_is_taken, Needs::NAMESPACES);
fn a_name_that_is_taken() {
    let records = Records::new();
    let running = records.waiting("lc-taken");
    let second = records.probe(&["--name", "lc-taken", "--no-limits"], &["status", "0"]).start().reap();
    second.refused(125, &["already running", "lc-taken", "--name"]);
    assert_eq!(records.names(&[]), ["lc-taken"]);
    records.call("rm", &["lc-taken"]).refused(125, &["lc-taken", "rm -f"]);
    running.finish().success();
    records.probe(&["--name", "lc-taken"], &["status", "3"]).finish().silent(3);
}

case!(a_mydocker_that_is_killed_leaves_a_record_that_says_so, Needs::NAMESPACES);
fn a_mydocker_that_is_killed_leaves_a_record_that_says_so() {
    let records = Records::new();
    let running = records.waiting("lc-lost");
    let inside = running.command_pid();
    running.send(libc::SIGKILL);
    running.reap_with_stdin_open();
    assert!(wait_for_end(inside));
    assert_eq!(records.names(&[]), [""; 0]);
    let table = records.call("ps", &["-a"]).success();
    assert!(table.contains("lc-lost  lost: its keeper was killed  "), "{table}");
    assert_eq!(records.names(&["-f", "status=lost"]), ["lc-lost"]);
    // Its name is free: a run in the foreground keeps no record.
    records.probe(&["--name", "lc-lost"], &["status", "0"]).finish().silent(0);
    assert_eq!(records.left(), [""; 0]);
}

case!(later_runs_sweep_records, Needs::NAMESPACES);
fn later_runs_sweep_records() {
    let records = Records::new();
    for name in ["lc-left-1", "lc-left-2"] {
        let running = records.waiting(name);
        running.send(libc::SIGKILL);
        running.reap_with_stdin_open();
    }
    records.probe(&["--name", "lc-sweeper"], &["status", "0"]).finish().silent(0);
    assert_eq!(records.left(), [""; 0]);
}

case!(the_folders_of_others_stay, Needs::NAMESPACES);
/// The user may name a folder that has others in it, whose files have the names of those of a record.
fn the_folders_of_others_stay() {
    let records = Records::new();
    for (folder, files) in
        [("theirs", &["status", "config", "log"][..]), (".git", &["config", "state"]), ("empty", &[])]
    {
        let path = format!("{}/{folder}", records.state());
        fs::create_dir(&path).expect("mkdir");
        files.iter().for_each(|file| fs::write(format!("{path}/{file}"), "theirs\n").expect("write"));
    }
    // As somebody else's is that may not be looked into.
    let closed = format!("{}/closed", records.state());
    fs::create_dir(&closed).expect("mkdir");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("chmod");
    let left = records.left();
    for _ in 0..3 {
        records.probe(&["--name", "lc-beside"], &["status", "0"]).finish().silent(0);
    }
    for (name, status, reason) in [
        ("theirs", 0, "no such container"),
        ("empty", 0, "no such container"),
        // Root may look into it.
        ("closed", if host().root { 0 } else { 125 }, if host().root { "no such container" } else { "EACCES" }),
    ] {
        records.call("rm", &["-f", name]).refused(status, &[reason, name]);
    }
    assert_eq!(records.call("ps", &["-aq"]).success(), "");
    records.probe(&["--name", "theirs"], &["status", "0"]).finish().refused(125, &["theirs", "not a record"]);
    assert_eq!(records.left(), left);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("chmod");
    assert_eq!(fs::read_dir(format!("{}/theirs", records.state())).expect("their folder").count(), 3);
}

case!(rm_ends_and_removes, Needs::NAMESPACES);
fn rm_ends_and_removes() {
    let records = Records::new();
    let running = records.waiting("lc-rm");
    assert_eq!(records.call("rm", &["-f", "lc-rm"]).success(), "lc-rm\n");
    let outcome = running.finish_with_stdin_open();
    assert_eq!(outcome.code(), 137, "{outcome:?}");
    assert_eq!(records.left(), [""; 0]);
    records.call("rm", &["lc-rm"]).refused(125, &["no such container", "lc-rm"]);
    let lost = records.waiting("lc-rm");
    lost.send(libc::SIGKILL);
    lost.reap_with_stdin_open();
    records.call("rm", &["lc-rm"]).success();
    assert_eq!(records.left(), [""; 0]);
}

case!(words_that_are_no_names, Needs::NOTHING);
fn words_that_are_no_names() {
    let records = Records::new();
    for name in ["..", ".", "a/b", "/", "", "a b"] {
        records.call("rm", &[name]).usage_error(&["name"]);
    }
    records.call("rm", &[]).usage_error(&["NAME"]);
    records.call("ps", &["x"]).usage_error(&["x"]);
    records.call("ps", &["--nope"]).usage_error(&["--nope"]);
    let help = mydocker(&["ps", "--help"]).finish().success();
    assert!(help.starts_with("Usage: mydocker ps [OPTIONS]\n") && help.contains("--filter"), "{help}");
}

case!(where_records_are, Needs::NAMESPACES);
fn where_records_are() {
    let folder = Folder::new();
    let named = folder.text("named");
    // It is made for its owner alone; the variable names it as the option does.
    let running = probe(&["--name", "lc-where"], &["hold"]).with(|c| c.env("MYDOCKER_STATE", &named)).start_ready();
    let mode = fs::metadata(&named).expect("made").mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(fs::metadata(folder.path("named/lc-where")).expect("made").mode() & 0o777, 0o700);
    let list = mydocker(&["ps", "-q", "--state", &named]).finish().success();
    assert_eq!(list, "lc-where\n");
    running.finish().success();
    // Without a folder there is nothing to list, and ps makes none.
    let none = folder.text("none");
    assert_eq!(mydocker(&["ps", "-q", "--state", &none]).finish().success(), "");
    assert!(!folder.path("none").exists());
    let missing = folder.text("none/deep");
    let refused = probe(&["--name", "lc-where", "--state", &missing], &["status", "0"]).finish();
    refused.refused(125, &["mkdirat", &missing, "ENOENT", "--state"]);
    // A file, and a folder that others may write to.
    let file = folder.write("file", b"");
    probe(&["--name", "lc-where", "--state", &file], &["status", "0"]).finish().refused(125, &[&file, "ENOTDIR"]);
    let open = folder.text("open");
    fs::create_dir(&open).expect("mkdir");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("chmod");
    for outcome in
        [probe(&["--name", "lc-where", "--state", &open], &["status", "0"]), mydocker(&["ps", "--state", &open])]
    {
        outcome.finish().refused(125, &["others may write", &open]);
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).expect("chmod");
    mydocker(&["ps", "--state", &open]).finish().refused(125, &["others may write", &open]);
    std::os::unix::fs::symlink(&named, folder.path("link")).expect("symlink");
    mydocker(&["ps", "--state", &folder.text("link")]).finish().refused(125, &["link", "ENOTDIR"]);
}

case!(a_folder_of_somebody_else, Needs::ROOT);
fn a_folder_of_somebody_else() {
    let records = Records::new();
    std::os::unix::fs::chown(records.state(), Some(65534), None).expect("chown");
    records.call("ps", &[]).refused(125, &["belongs to somebody else", &records.state()]);
    records.probe(&["--name", "lc-other"], &["status", "0"]).finish().refused(125, &["belongs to somebody else"]);
}

case!(a_record_of_somebody_else, Needs::ROOT | Needs::SH);
/// Root could read it, and would take what is in it for its own.
fn a_record_of_somebody_else() {
    let records = Records::new();
    let (name, own) = (unique_name(), unique_name());
    for name in [&name, &own] {
        records.detached(name, &[], "echo out; exit 3");
        assert_eq!(records.call("wait", &[name]).success(), "3\n");
    }
    let chown = |uid| std::os::unix::fs::chown(records.folder_of(&name), Some(uid), None).expect("chown");
    chown(65534);
    let refusal = ["belongs to somebody else", &name];
    records.call("ps", &["-aq"]).refused_after(&format!("{own}\n"), 125, &refusal);
    let calls: [(&str, &[&str]); 9] = [
        ("logs", &[&name]),
        ("wait", &[&name]),
        ("stop", &[&name]),
        ("kill", &[&name]),
        ("pause", &[&name]),
        ("stats", &[&name]),
        ("rm", &[&name]),
        ("rm", &["-f", &name]),
        ("exec", &[&name, "true"]),
    ];
    for (verb, words) in calls {
        records.call(verb, words).refused(125, &refusal);
    }
    for options in [&[][..], &["-d"]] {
        records.run(&[options, &["--name", &name]].concat(), &["true"]).start().reap().refused(125, &refusal);
    }
    // Nor does a later run sweep it.
    records.run(&["--name", &unique_name()], &["true"]).start().reap().silent(0);
    chown(0);
    assert_eq!(records.call("logs", &[&name]).success(), "out\n");
    records.remove(&name);
    records.remove(&own);
}

case!(fifos_in_the_place_of_a_group, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// The paths of its groups are what the record says.
fn fifos_in_the_place_of_a_group() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "exec sleep 1000");
    let made_up = Folder::new();
    for file in ["freezer.state", "memory.usage_in_bytes", "memory.limit_in_bytes", "cgroup.procs", "cpuacct.usage"] {
        mknodat(CWD, made_up.path(file), FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    }
    let state = records.folder_of(&name).join("state");
    let whole = fs::read_to_string(&state).expect("state");
    let mut lines: Vec<String> =
        whole.lines().filter(|line| !line.starts_with("group ")).map(|line| format!("{line}\n")).collect();
    lines.insert(1, format!("group f {}\n", made_up.as_path().display()));
    fs::write(&state, lines.concat()).expect("write");
    let table = records.call("ps", &[]).success();
    assert!(table.contains(" running "), "{table}");
    records.call("pause", &[&name]).refused(125, &["freezer.state", "ESPIPE"]);
    fs::write(&state, whole).expect("write");
    records.remove(&name);
}

case!(records_that_are_cut_short, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// None is taken for something else, and nobody removes it but rm.
fn records_that_are_cut_short() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--cap-drop", "ALL"], "exec sleep 1000");
    let config = records.folder_of(&name).join("config");
    let whole = fs::read(&config).expect("config");
    for len in [0, 2, whole.len() / 2, whole.len() - 1] {
        fs::write(&config, &whole[..len]).expect("write");
        records.call("exec", &[&name, "true"]).refused(125, &["cut short"]);
    }
    fs::write(&config, &whole).expect("write");
    records.call("exec", &[&name, "true"]).silent(0);
    records.remove(&name);

    for (file, contents) in [("status", &["", "3 179", "hello world\n"][..]), ("state", &["", "mydocker 1\n"])] {
        for content in contents {
            records.detached(&name, &[], "exit 3");
            assert_eq!(records.call("wait", &[&name]).success(), "3\n");
            fs::write(records.folder_of(&name).join(file), content).expect("write");
            let table = records.call("ps", &["-a"]).success();
            assert!(table.contains("unreadable"), "{file} {content:?}: {table}");
            records.call("wait", &[&name]).refused(125, &["cut short", &name]);
            records.run(&["--name", &name], &["true"]).finish().refused(125, &[&name, "rm"]);
            records.remove(&name);
        }
    }
}

case!(a_folder_without_utf8, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn a_folder_without_utf8() {
    let (records, folder, name) = (Records::new(), Folder::new(), unique_name());
    let odd = folder.path("").join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::create_dir(&odd).expect("mkdir");
    let run = records.run(&["-d", "--name", &name, "--cap-drop", "ALL"], &["sleep", "1000"]);
    let place = odd.clone();
    run.with(move |command| command.current_dir(&place)).start().reap().success();
    let seen = records.call("exec", &[&name, "sh", "-c", "pwd; grep CapEff /proc/self/status"]).stdout;
    assert_eq!(seen, [odd.as_os_str().as_bytes(), b"\nCapEff:\t0000000000000000\n"].concat());
    records.remove(&name);
}

case!(odd_files_in_a_record, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn odd_files_in_a_record() {
    let records = Records::new();
    records.detached("lc-whole", &[], "echo out; exit 3");
    assert_eq!(records.call("wait", &["lc-whole"]).success(), "3\n");
    // Nobody writes to the FIFO, or reads from it.
    let fifo = records.folder_of("lc-whole").join("a-fifo");
    mknodat(CWD, &fifo, FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    let mut odd = Vec::new();
    for file in ["state", "status", "log", "config"] {
        for kind in ["fifo", "link", "directory"] {
            let name = format!("lc-{file}-{kind}");
            let folder = records.folder_of(&name);
            fs::create_dir(&folder).expect("mkdir");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o1700)).expect("chmod");
            for whole in ["state", "status", "log", "config"] {
                fs::copy(records.folder_of("lc-whole").join(whole), folder.join(whole)).expect("copy");
            }
            let path = folder.join(file);
            fs::remove_file(&path).expect("unlink");
            match kind {
                "fifo" => mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).expect("mkfifo"),
                "link" => symlink(&fifo, &path).expect("symlink"),
                _ => fs::create_dir(&path).expect("mkdir"),
            }
            odd.push((name, file, kind));
        }
    }
    // They hide nothing of the others.
    let json = records.call("ps", &["-a", "--json"]).success();
    for (name, file, _) in &odd {
        let state = if ["state", "status"].contains(file) { "unreadable" } else { "exited" };
        assert!(json.contains(&format!("{{\"name\":\"{name}\",\"state\":\"{state}\"")), "{name}: {json}");
    }
    assert!(json.contains("{\"name\":\"lc-whole\",\"state\":\"exited\""), "{json}");
    for (name, file, kind) in &odd {
        if *file == "log" {
            assert!(!records.call("logs", &["-f", name]).stdout_text().contains("out"), "{name}");
        }
        records.run(&["--name", name], &["true"]).finish().refused(125, &["has run", name]);
        records.call("stop", &[name]).success();
        if *kind == "directory" {
            // unlink(2) takes no directory. What is left is still a record.
            let path = records.folder_of(name).join(file);
            for _ in 0..2 {
                records.call("rm", &[name]).refused(125, &["unlinkat", file, "EISDIR"]);
                assert!(records.names(&["-a"]).contains(name), "{name}");
            }
            fs::remove_dir(&path).expect("rmdir");
            fs::write(path, "").expect("write");
        }
        records.call("rm", &[name]).success();
    }
    fs::remove_file(fifo).expect("unlink");
    // Nor do they hold a keeper: the status is lost, and that is said of the record.
    records.detached("lc-kept", &[], "exec sleep 1000");
    let pid = records.pid("lc-kept");
    let keeper = super::lifecycle_detached::keeper_of(pid);
    let status = records.folder_of("lc-kept").join("status");
    fs::remove_file(&status).expect("unlink");
    mknodat(CWD, &status, FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    records.call("exec", &["lc-kept", "true"]).refused(125, &["cut short", "lc-kept"]);
    send(pid, libc::SIGKILL);
    assert!(wait_for_end(keeper));
    records.remove("lc-kept");
    records.remove("lc-whole");
}

case!(a_dry_run_makes_no_record, Needs::NAMESPACES);
fn a_dry_run_makes_no_record() {
    let records = Records::new();
    let table = records.probe(&["--name", "lc-dry", "--dry-run"], &["status", "0"]).finish().success();
    assert!(table.contains("Makes its record") && table.contains("Notes in its record"), "{table}");
    let script = records.probe(&["--name", "lc-dry", "--dry-run=sh"], &["status", "0"]).finish().success();
    assert!(script.contains("Makes its record, which is locked as long as it runs: not here"), "{script}");
    assert_eq!(records.left(), [""; 0]);
}

case!(processes_and_ipc_of_another_container, Needs::ROOT | Needs::SLEEP | Needs::MEMORY);
fn processes_and_ipc_of_another_container() {
    let records = Records::new();
    let first = records.waiting("lc-shared");
    let first_process = children(first.pid)[0];
    let link = |kind: &str| fs::read_link(format!("/proc/{first_process}/ns/{kind}")).expect("readlink");
    for (option, kind, other) in [("--pid", "pid", "ipc"), ("--ipc", "ipc", "pid")] {
        let seen = records.probe(&[option, "container:lc-shared"], &["namespaces"]).finish().success();
        assert!(seen.contains(link(kind).to_str().expect("UTF-8")), "{seen}");
        assert!(!seen.contains(link(other).to_str().expect("UTF-8")), "{seen}");
        let script =
            records.probe(&[option, "container:lc-shared", "--dry-run=sh"], &["status", "0"]).finish().success();
        assert!(script.contains(&format!("leave out {option} container:")), "{script}");
        records.probe(&[option, "container:lc-none"], &["status", "0"]).finish().refused(125, &["no such container"]);
        let unnamed = records.probe(&[option, "container:"], &["status", "0"]).finish();
        assert!(unnamed.code() == 125 && unnamed.stderr_text().contains("a name is at most"), "{unnamed:?}");
    }
    // Its /proc shows them: PID 1 is that of the first.
    let seen = records.probe(&["--pid", "container:lc-shared"], &["file", "/proc/1/cmdline"]).finish().success();
    assert!(seen.contains("hold"), "{seen:?}");
    // What is executed in such a container is in those namespaces, too.
    let both = ["--pid", "container:lc-shared", "--ipc", "container:lc-shared"];
    let second = records.probe(&[&["--name", "lc-sharing"], &both[..]].concat(), &["hold"]).start_ready();
    records.await_state("lc-sharing");
    let words = probe_words(&["namespaces"]);
    let before = ["exec", "--state", &records.state(), "lc-sharing"].map(std::ffi::OsString::from);
    let words = [&before[..], &words].concat();
    let seen = mydocker(&words).finish().success();
    for kind in ["pid", "ipc"] {
        assert!(seen.contains(link(kind).to_str().expect("UTF-8")), "{seen}");
    }
    second.finish().success();
    // An orphan becomes a child of the other's PID 1, and ends with its own container all the same.
    records.run(&["-m", "50m", "--pid", "container:lc-shared"], &["sh", "-c", "sleep 1000 &"]).finish().success();
    let lives = |pid: &i32| state(*pid).is_some_and(|state| state != 'Z');
    assert_eq!(children(first_process).into_iter().filter(lives).count(), 0);
    first.finish().success();
    records.probe(&["--pid", "container:lc-shared"], &["status", "0"]).finish().refused(125, &["no such container"]);
}

case!(orphans_in_a_group_below, Needs::ROOT | Needs::SLEEP | Needs::SH | Needs::MEMORY | Needs::MOUNTED);
/// Likewise in a group that a privileged container has made in its own.
fn orphans_in_a_group_below() {
    let records = Records::new();
    let first = records.waiting("lc-below");
    let first_process = children(first.pid)[0];
    let below = host().carrier("memory").expect("a hierarchy").point.join("below");
    let below = below.to_str().expect("UTF-8");
    let script = format!("mkdir '{below}' && {{ sleep 1000 & echo $! >'{below}/cgroup.procs'; }}");
    let options = ["--privileged", "-m", "50m", "--pid", "container:lc-below"];
    records.run(&options, &["sh", "-c", &script]).finish().silent(0);
    let lives = |pid: &i32| state(*pid).is_some_and(|state| state != 'Z');
    assert_eq!(children(first_process).into_iter().filter(lives).count(), 0);
    first.finish().success();
}

case!(a_run_among_the_processes_of_another, Needs::ROOT | Needs::BUSYBOX | Needs::SLEEP);
/// Its first process is made last, there; what is known of a run is known of that one.
fn a_run_among_the_processes_of_another() {
    let records = Records::new();
    let first = records.waiting("lc-first");
    let of = ["--pid", "container:lc-first"];
    let root = Root::with_directories().with_busybox();
    let path = root.path();
    let in_root = [&of[..], &["--rootfs", &path]].concat();
    for options in [&of[..], &in_root] {
        let with =
            |more: &[&str], script: &str| records.run(&[options, more].concat(), &["/bin/sh", "-c", script]).finish();
        with(&[], "exit 5").silent(5);
        with(&["--init"], "kill -TERM $$").silent(143);
        with(&["--pids-limit", "9"], "kill -KILL $$").silent(137);
        // Its own /proc shows them, and itself by the pid that it has there.
        let seen = with(&[], "read self rest </proc/self/stat; read name </proc/1/comm; echo $(( self == $$ )) $name")
            .success();
        assert!(seen.starts_with("1 ") && seen.len() > 3, "{seen}");
        // Its pid is written before it begins.
        let file = records.0.text("pid");
        let bind = format!("{file}:{file}");
        let copy = if options.len() > 2 { &["-v", &bind, "--pid-file", &file][..] } else { &["--pid-file", &file] };
        fs::write(&file, "").expect("write");
        let inside = with(copy, &format!("cat {file}")).success();
        assert!(inside.trim_end().parse::<i32>().expect("a pid") > 1, "{inside:?}");
        assert_eq!(fs::read_to_string(&file).expect("the file"), inside);
        with(&["--pid-file", "/dev/full"], "echo never").refused(125, &["--pid-file", "ENOSPC"]);
        // What is not executed is not there.
        with(&["--name", "lc-none", "--entrypoint", "/none"], "").refused(127, &["/none", "not found"]);
        let none = records.run(&[options, &["-d", "--name", "lc-none"]].concat(), &["/none"]).finish();
        none.refused(127, &["/none", "not found"]);
        assert_eq!(records.left(), ["lc-first"]);
        // ps, exec and rm find the process that is left there, and not the one that has ended.
        records.detached_in("lc-second", options, &["/bin/busybox", "sleep", "1000"]);
        let pid = records.pid("lc-second");
        assert_eq!(fs::read(format!("/proc/{pid}/cmdline")).expect("cmdline"), b"/bin/busybox\0sleep\x001000\0");
        let namespaces = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).expect("readlink");
        assert_eq!(namespaces(pid), namespaces(children(first.pid)[0]));
        let seen = records.call("exec", &["lc-second", "/bin/busybox", "readlink", "/proc/self/ns/pid"]).success();
        assert_eq!(seen.trim_end(), namespaces(pid).display().to_string());
        records.call("exec", &["lc-second", "/none"]).refused(127, &["/none", "not found"]);
        records.remove("lc-second");
        assert!(!fs::exists(format!("/proc/{pid}")).expect("stat"));
    }
    // What is created in the root for a command that cannot be executed is removed again.
    records.run(&[&in_root[..], &["-w", "/new/folder"]].concat(), &["/none"]).finish().refused(127, &["/none"]);
    assert!(!fs::exists(format!("{path}/new")).expect("stat"));
    // It ends with its mydocker.
    let running = records.probe(&[&of[..], &["--no-limits"]].concat(), &["hold"]).start_ready();
    let pid = children(running.pid)[0];
    send(running.pid, libc::SIGKILL);
    wait_until("it has ended", || state(pid).is_none_or(|state| state == 'Z'));
    drop(running.finish());
    first.finish().success();
}

case!(a_container_without_a_proc_of_its_own, Needs::ROOT | Needs::BUSYBOX);
/// A /proc is taken from there, and from nowhere else.
fn a_container_without_a_proc_of_its_own() {
    let records = Records::new();
    let root = Root::with_directories().with_busybox();
    for how in ["-t tmpfs none", "--bind /bin"] {
        let name = unique_name();
        let script = format!("/bin/busybox mount {how} /proc && echo mounted && exec /bin/busybox sleep 1000");
        records.detached_in(&name, &["--privileged", "--rootfs", &root.path()], &["/bin/sh", "-c", &script]);
        wait_until("it is mounted", || records.call("logs", &[&name]).stdout_text().contains("mounted\n"));
        let run = records.run(&["--pid", &format!("container:{name}")], &["true"]).finish();
        run.refused(125, &[&name, "it has no /proc"]);
        records.remove(&name);
    }
}
