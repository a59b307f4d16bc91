//! Of the peers' suites: who the command is, what it may do, what its terminal and its environment are.

use crate::cases::lifecycle::Records;
use crate::cases::peers::{Row, assert_rows};
use crate::support::harness::{run, unique_name};
use crate::support::needs::Needs;
use crate::support::roots::Root;
use std::fs;

const NONE: &str = "0000000000000000";
const DEFAULT: &str = "00000000a00425fb";
const SYS_ADMIN: &str = "0000000000200000";

fn root_with_users() -> Root {
    let root = Root::with_directories();
    let users = "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/sbin:/bin/sh\nmail:x:8:12::/var/mail:/bin/sh\n";
    fs::write(root.0.path("etc/passwd"), users).expect("write");
    fs::write(root.0.path("etc/group"), "root:x:0:\nwheel:x:10:root\nmail:x:12:\nftp:x:21:\n").expect("write");
    root
}

case!(a_user_by_number, Needs::ROOT);
fn a_user_by_number() {
    const ROWS: &[Row] = &[
        ("all four user ids", "status Uid", "1000 1000 1000 1000"),
        ("all four group ids", "status Gid", "100 100 100 100"),
        ("no groups beside that", "status Groups", ""),
        ("no effective capabilities", "status CapEff", NONE),
        ("no permitted ones", "status CapPrm", NONE),
        ("no inheritable ones", "status CapInh", NONE),
        ("no ambient ones", "status CapAmb", NONE),
        ("the bounding set is the usual one", "status CapBnd", DEFAULT),
        ("no new privileges", "status NoNewPrivs", "1"),
        ("its own files in /proc are its own", "owner /proc/self/status", "1000:100"),
        ("root's files are root's", "write /etc/hosts", "EACCES"),
        ("it cannot become another user", "setuid", "EPERM"),
        ("it cannot change its root", "chroot", "EPERM"),
        ("it cannot make nodes", "mknod /dev/shm/node", "EPERM"),
        ("it can write to shared memory", "make /dev/shm/file", "ok"),
    ];
    let root = root_with_users();
    assert_rows(|words| root.probe(&["-u", "1000:100"], words), ROWS);
    const BY_ZERO: &[Row] = &[("root by number has root's groups", "status Groups", "10")];
    assert_rows(|words| root.probe(&["-u", "0"], words), BY_ZERO);
    const BY_NAME: &[Row] = &[
        ("a name has its number", "status Uid", "8 8 8 8"),
        ("and the group that was named", "status Gid", "21 21 21 21"),
        ("HOME is that of the user", "variable HOME", "/var/mail"),
        ("once", "times HOME", "1"),
    ];
    assert_rows(|words| root.probe(&["-u", "mail:ftp"], words), BY_NAME);
    const BY_DEFAULT: &[Row] = &[
        ("without -u it is root", "status Uid", "0 0 0 0"),
        ("in root's group", "status Gid", "0 0 0 0"),
        ("it may change its root", "chroot", "ok"),
        ("it may become another user", "setuid", "ok"),
        ("it may not change interfaces", "lower-lo", "EPERM"),
    ];
    assert_rows(|words| root.probe(&[], words), BY_DEFAULT);
    for user in ["-1", "4294967295", "4294967296", "notme"] {
        root.refuses(&["-u", user], &["unknown user", user]);
    }
}

case!(capabilities_by_name, Needs::ROOT);
fn capabilities_by_name() {
    const TABLES: &[(&str, &[Row])] = &[
        (
            "--cap-drop ALL",
            &[
                ("none permitted", "status CapPrm", NONE),
                ("none inheritable", "status CapInh", NONE),
                ("none ambient", "status CapAmb", NONE),
                ("no change of the root", "chroot", "EPERM"),
                ("no other user", "setuid", "EPERM"),
                ("no nodes", "mknod /node", "EPERM"),
                ("no interfaces", "lower-lo", "EPERM"),
            ],
        ),
        (
            "--cap-drop ALL --cap-add MKNOD --cap-add SETGID",
            &[
                ("both are effective", "status CapEff", "0000000008000040"),
                ("nodes can be made", "mknod /node", "ok"),
                ("nothing else can be done", "chroot", "EPERM"),
            ],
        ),
        (
            "--cap-drop sys_chroot",
            &[("what is dropped in small letters is dropped", "chroot", "EPERM"), ("nothing else is", "setuid", "ok")],
        ),
        (
            "--cap-drop ALL --cap-add SYS_ADMIN",
            &[
                ("effective", "status CapEff", SYS_ADMIN),
                ("permitted", "status CapPrm", SYS_ADMIN),
                ("in the bounding set", "status CapBnd", SYS_ADMIN),
                ("root inherits none", "status CapInh", NONE),
                ("and has none ambient", "status CapAmb", NONE),
                ("no new privileges all the same", "status NoNewPrivs", "1"),
            ],
        ),
        (
            "-u 1000 --cap-drop ALL --cap-add SYS_ADMIN",
            &[
                ("for a user what is added is in the bounding set", "status CapBnd", SYS_ADMIN),
                ("and not effective, as with docker", "status CapEff", NONE),
                ("nor permitted", "status CapPrm", NONE),
                ("nor inheritable", "status CapInh", NONE),
                ("nor ambient", "status CapAmb", NONE),
            ],
        ),
        (
            "--cap-drop ALL --cap-add CAP_KILL --cap-add CAP_AUDIT_WRITE",
            &[
                ("effective", "status CapEff", "0000000020000020"),
                ("permitted", "status CapPrm", "0000000020000020"),
                ("in the bounding set", "status CapBnd", "0000000020000020"),
            ],
        ),
        (
            "--cap-drop CAP_KILL --cap-drop CAP_FOWNER",
            &[("two less than the usual ones", "status CapEff", "00000000a00425d3")],
        ),
        ("--cap-add NET_ADMIN", &[("interfaces can be changed", "lower-lo", "ok")]),
        ("--cap-add ALL", &[("with all as well", "lower-lo", "ok"), ("nodes can be made", "mknod /node", "ok")]),
        (
            "--cap-add ALL --cap-drop NET_ADMIN",
            &[("with all but this they cannot", "lower-lo", "EPERM"), ("nodes still can", "mknod /node", "ok")],
        ),
        (
            "--privileged -u 1000",
            &[
                ("a privileged user has none effective", "status CapEff", NONE),
                ("none permitted", "status CapPrm", NONE),
                ("none ambient", "status CapAmb", NONE),
                ("may get new privileges", "status NoNewPrivs", "0"),
                ("has no filter", "status Seccomp", "0"),
            ],
        ),
    ];
    let root = root_with_users();
    for (options, rows) in TABLES {
        let options: Vec<&str> = options.split(' ').collect();
        assert_rows(|words| root.probe(&options, words), rows);
    }
}

case!(variables_in_a_root, Needs::NAMESPACES);
fn variables_in_a_root() {
    const ROWS: &[Row] = &[
        ("a name in capitals", "variable FALSE", "true"),
        ("by name alone: the caller's", "variable TRUE", "false"),
        ("a line feed in it", "variable TRICKY", "tri cky"),
        ("an empty HOME counts as unset", "variable HOME", "/root"),
        ("HOME is set once", "times HOME", "1"),
        ("HOSTNAME is the name", "variable HOSTNAME", "testing"),
        ("of two values the later one", "variable ONE", ""),
        ("set once", "times ONE", "1"),
    ];
    let root = Root::with_directories();
    let options = "-h testing -e=FALSE=true -e=TRUE -e TRICKY -e HOME=/other -e=HOME= -e ONE=two -e ONE=";
    let options: Vec<&str> = options.split(' ').collect();
    let own = [("TRUE", "false"), ("TRICKY", "tri\ncky\n"), ("HOME", "/callers")];
    assert_rows(|words| root.probe(&options, words).with(|command| command.env_clear().envs(own)), ROWS);
    const OVERRIDDEN: &[Row] = &[
        ("a HOME that is not empty", "variable HOME", "/root2"),
        ("HOSTNAME by name alone: the caller's", "variable HOSTNAME", "bar"),
        ("once", "times HOSTNAME", "1"),
        ("PATH as it was set", "variable PATH", "/bin"),
        ("once", "times PATH", "1"),
    ];
    let options = ["-e", "HOSTNAME", "-e", "HOME=/root2", "--env", "PATH=/bin"];
    assert_rows(|words| root.probe(&options, words).with(|command| command.env("HOSTNAME", "bar")), OVERRIDDEN);
    const LACKING: &[Row] = &[("a HOME that the caller lacks as well is root's", "variable HOME", "/root")];
    assert_rows(|words| root.probe(&["-e", "HOME"], words).with(|command| command.env_remove("HOME")), LACKING);
    const REMOVED: &[Row] = &[("--unsetenv leaves it out all the same", "variable HOME", "unset")];
    assert_rows(|words| root.probe(&["--unsetenv", "HOME"], words), REMOVED);
}

case!(signals_that_the_caller_ignores_or_blocks, Needs::NAMESPACES);
/// tini leaves them as they are; here a command starts with its defaults, under `--init` too.
fn signals_that_the_caller_ignores_or_blocks() {
    const ROWS: &[Row] = &[
        ("none is ignored", "status SigIgn", NONE),
        ("none is blocked", "status SigBlk", NONE),
        ("none is caught", "status SigCgt", NONE),
        ("none is waiting for the process", "status ShdPnd", NONE),
        ("nor for the thread", "status SigPnd", NONE),
        ("its parent is the reaper", "status PPid", "1"),
    ];
    let spoil = || {
        // SAFETY: the calls change dispositions and the mask of the new process; the set lives in this frame
        unsafe {
            for signal in [libc::SIGTTOU, libc::SIGSEGV, libc::SIGINT] {
                libc::signal(signal, libc::SIG_IGN);
            }
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGTTIN, libc::SIGILL, libc::SIGTERM] {
                libc::sigaddset(&mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
        Ok(())
    };
    let root = Root::with_directories();
    assert_rows(|words| root.probe(&["--init"], words).before(spoil), ROWS);
}

case!(whose_terminal_it_is, Needs::ROOT | Needs::TERMINAL);
fn whose_terminal_it_is() {
    const OF_ROOT: &[Row] = &[
        ("stdin is a terminal", "terminal 0", "yes"),
        ("so is stdout", "terminal 1", "yes"),
        ("so is stderr", "terminal 2", "yes"),
        ("it is root's, in the group of terminals", "owner /dev/pts/0", "0:5"),
        ("the console is the same one", "owner /dev/console", "0:5"),
    ];
    let root = root_with_users();
    assert_rows(|words| root.probe(&["-t"], words), OF_ROOT);
    const OF_A_USER: &[Row] = &[
        ("it is the user's, in the group of terminals", "owner /dev/pts/0", "1000:5"),
        ("who may write to it, as nobody else", "see /dev/pts/0", "char 136:0 620"),
        ("and who has it as stdin", "terminal 0", "yes"),
    ];
    assert_rows(|words| root.probe(&["-t", "-u", "1000:100"], words), OF_A_USER);
    const WITHOUT: &[Row] = &[
        ("without -t: stdin is no terminal", "terminal 0", "no"),
        ("nor is stdout", "terminal 1", "no"),
        ("nor is stderr", "terminal 2", "no"),
        ("/dev/pts holds no terminal", "list /dev/pts", "ptmx"),
    ];
    assert_rows(|words| root.probe(&[], words), WITHOUT);
}

case!(what_exec_is_given, Needs::ROOT | Needs::TERMINAL);
fn what_exec_is_given() {
    const TABLES: &[(&str, &[Row])] = &[
        (
            "-u 1000:1000",
            &[
                ("all four user ids", "status Uid", "1000 1000 1000 1000"),
                ("all four group ids", "status Gid", "1000 1000 1000 1000"),
                ("no capabilities", "status CapEff", NONE),
                ("no new privileges", "status NoNewPrivs", "1"),
            ],
        ),
        (
            "-u 65535:65535",
            &[
                ("any number is a user", "status Uid", "65535 65535 65535 65535"),
                ("/ is the HOME", "variable HOME", "/"),
            ],
        ),
        (
            "-u 0:0",
            &[
                ("root again", "status Uid", "0 0 0 0"),
                ("with the usual capabilities", "status CapEff", DEFAULT),
                ("in root's HOME", "variable HOME", "/root"),
            ],
        ),
        (
            "-u mail -e HOME=",
            &[("an empty HOME counts as unset", "variable HOME", "/var/mail"), ("once", "times HOME", "1")],
        ),
        (
            "-e HOME=/tmp -e PATH=/usr/bin -e FOO=BAR -w /etc",
            &[
                ("a HOME of its own", "variable HOME", "/tmp"),
                ("a PATH of its own", "variable PATH", "/usr/bin"),
                ("once", "times PATH", "1"),
                ("a variable of its own", "variable FOO", "BAR"),
                ("those of the container besides", "variable OF_THE_RUN", "1"),
                ("another folder", "folder", "/etc"),
                ("the name of the container", "hostname", "peers-exec"),
            ],
        ),
        (
            "--cap-add SYS_ADMIN",
            &[("one capability more", "status CapEff", "00000000a02425fb"), ("not inherited", "status CapInh", NONE)],
        ),
        (
            "-t -u 1",
            &[
                ("stdin is a terminal", "terminal 0", "yes"),
                ("so is stdout", "terminal 1", "yes"),
                ("so is stderr", "terminal 2", "yes"),
                ("it is the user's", "owner /proc/self/fd/0", "1:5"),
            ],
        ),
    ];
    let (records, root, name) = (Records::new(), root_with_users(), unique_name());
    let state = records.state();
    let options = ["--state", &state, "--name", &name, "-h", "peers-exec", "-e", "OF_THE_RUN=1"];
    let running = root.probe(&options, &["hold"]).start_ready();
    records.await_state(&name);
    for (options, rows) in TABLES {
        let options: Vec<&str> = options.split(' ').chain([name.as_str(), "/probe", "--probe"]).collect();
        assert_rows(|words| records.verb("exec", &[&options, words].concat()), rows);
    }
    running.finish().success();
    run(&["--state", &state, "--rootfs", &root.path()], &["/not.here"]).finish().refused(127, &["/not.here"]);
}
