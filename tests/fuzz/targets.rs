//! What is tried, and what must hold beside that nothing panics.

#![expect(clippy::octal_escapes, reason = "a NUL between two words, and a number at the beginning of the second one")]

use mydocker::bytes::{self, FixedBytes, Put};
use mydocker::cgroup::hierarchy::{OwnLine, mounted, own_lines};
use mydocker::cgroup::limits::{Comparison, same};
use mydocker::cgroup::{Controller, Controllers, Version};
use mydocker::environment::Environment;
use mydocker::error::Error;
use mydocker::root::kernel::flags_of;
use mydocker::show::script::put_word;
use mydocker::sys::gate::{Arg, Show};
use mydocker::sys::{self, record, trace};
use mydocker::{mountinfo, passwd};
use std::ffi::CStr;

#[allow(dead_code, unused_imports, reason = "its own tests, and what only the program uses")]
#[path = "../../src/cli/mod.rs"]
mod cli;

/// What a batch does with each of its inputs.
type Act = Box<dyn FnMut(&[u8])>;

/// Something that reads or prints bytes of others.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What inputs are made of.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What is put into them here and there.
    pub words: &'static [&'static str],
    /// At the beginning of a batch.
    pub begin: fn() -> Act,
}

pub const TARGETS: [Target; 11] = [
    Target { name: "command-line", seeds: command_lines, words: OPTIONS, begin: || Box::new(parse_command_line) },
    Target {
        name: "env-file",
        seeds: env_files,
        words: &["A=", "\u{feff}", "#", "\r\n"],
        begin: || Box::new(read_env_file),
    },
    Target { name: "passwd", seeds: passwds, words: &["root", ":0:", ":x:"], begin: || Box::new(read_passwd) },
    Target { name: "group", seeds: groups, words: &["root", ":0:", ",adm"], begin: || Box::new(read_group) },
    Target { name: "mountinfo", seeds: mountinfos, words: MOUNT_WORDS, begin: || Box::new(read_mountinfo) },
    Target { name: "cgroup", seeds: cgroups, words: MOUNT_WORDS, begin: || Box::new(read_cgroup) },
    Target { name: "read-back", seeds: numbers, words: &["max", "0-3"], begin: || Box::new(read_back) },
    Target { name: "numbers", seeds: numbers, words: &["k", "-", ",", ".5"], begin: || Box::new(read_numbers) },
    Target { name: "trace-printer", seeds: texts, words: &[], begin: print_traces },
    Target { name: "record-printer", seeds: texts, words: &["PID", "1073741823"], begin: || Box::new(print_records) },
    Target { name: "quoting", seeds: texts, words: &["'", "\\", "\"", "1073741822"], begin: || Box::new(quote) },
];

/// A file of this host, if it has it, and `others`.
fn with_file(path: &str, others: &[&str]) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = others.iter().map(|text| text.as_bytes().to_vec()).collect();
    if let Ok(mut content) = std::fs::read(path) {
        content.truncate(4096);
        seeds.push(content);
    }
    seeds
}

const OPTIONS: &[&str] = &[
    "\0--\0",
    "\0-m\0",
    "\0--memory=",
    "\0-v\0/a:/b:ro",
    "\0-it",
    "\0-e\0A=1",
    "\0--mount\0",
    "\0--rootfs=",
    "\0-u\00:0",
    "\0--cpus\01.5",
    "\0--cap-add\0ALL",
    "\0--no-limits",
    "\0--ulimit\0nofile=1:2",
    "\0--tmpfs\0/t:size=1m",
    "\0-h",
    "\0-p\08080:80/udp",
    "\0--network\0bridge:a,forward",
    "\0--subnet=10.1.0.0/24",
    "\0--ip=10.1.0.9",
    "\0-d\0--rm",
];

fn command_lines() -> Vec<Vec<u8>> {
    [
        "run\0true",
        "run\0-m\0100m\0-c\02048\0--cpuset-cpus\00-1\0--pids-limit\050\0--name\0a\0sh\0-c\0exit 3",
        "run\0--rootfs\0/r\0-v\0/a:/b:ro\0--tmpfs\0/t:size=64m,mode=1777\0--device\0/dev/null\0-w\0/w\0-u\0a:b\0id",
        "run\0--cpus=1.5\0--memory-swap=max\0--memory-reservation=5m\0--cpu-mems\00\0--cgroup-parent=/a/b\0--\0ls\0-l",
        "run\0-it\0--init\0-h\0name\0--network=host\0--pid\0host\0--ipc=host\0--uts\0host\0--userns=auto\0vi",
        "run\0--privileged\0--cap-add\0NET_ADMIN\0--cap-drop=ALL\0--security-opt\0seccomp=unconfined\0sh",
        "run\0--dry-run=sh\0--trace=/t\0--stats=json\0--pid-file\0/p\0--ephemeral=1g\0--read-only\0--shm-size\01m\0sh",
        "run\0--ulimit\0nofile=1024:2048\0-e\0A=b\0--env-file\0/e\0--hostname\0h\0--step\0--\0sh",
        "run\0-d\0--name\0a\0--rm\0--state=/s\0-p\0[::1]:8080-8081:80-81/tcp\0--network=bridge:b\0--subnet=10.1.0.0/24\0sh",
        "exec\0-it\0-u\0a:b\0-w\0/w\0-e\0A=b\0a\0sh",
        "ps\0-a\0--filter\0status=exited\0--format=json",
        "logs\0-f\0--tail=10\0-t\0--since=1h\0a",
        "stop\0-t=5\0a\0b",
        "kill\0-s\0TERM\0a",
        "rm\0-f\0a",
        "run\0--help",
        "check\0--json",
        "--version",
    ]
    .map(|words| words.as_bytes().to_vec())
    .into()
}

fn parse_command_line(input: &[u8]) {
    let words: Vec<&[u8]> = bytes::split(input, 0).collect();
    match cli::parse(&words) {
        Err(error) => print_error(error),
        Ok(cli::Action::Run(_, command)) => assert!(command.first().is_some_and(|word| !word.is_empty())),
        Ok(_) => {}
    }
}

/// Text, whatever somebody else has put into it.
fn print_error(error: Error) {
    let mut out = Vec::new();
    error.print(&mut out);
    let text = std::str::from_utf8(&out).expect("a message in UTF-8");
    assert!(text.starts_with("mydocker: ") && text.ends_with('\n'), "{text:?}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    // A usage error has a second line.
    assert!(text.matches('\n').count() <= 2, "{text:?}");
    assert!((125..=127).contains(&error.status()));
}

fn env_files() -> Vec<Vec<u8>> {
    with_file(
        "/etc/environment",
        &["A=1\n# no\n\nB = 2\r\nC\nD='x y'\n", "\u{feff}PATH=/bin\nHOME\n", "LANG=de\u{e9}\n"],
    )
}

fn read_env_file(input: &[u8]) {
    let mut environment = Environment { caller: &[c"C=5", c"PATH=/usr/bin", c"HOME=/root"], variables: vec![c"A=0"] };
    if let Err(error) = environment.set_lines(input) {
        print_error(error);
    }
    let keys: Vec<&[u8]> =
        environment.variables.iter().filter_map(|variable| bytes::split(variable.to_bytes(), b'=').next()).collect();
    assert!(environment.variables.iter().all(|variable| variable.to_bytes().contains(&b'=')));
    for (at, key) in keys.iter().enumerate() {
        assert!(!key.is_empty() && !keys[..at].contains(key), "{:?}", key.escape_ascii().to_string());
    }
}

fn passwds() -> Vec<Vec<u8>> {
    with_file(
        "/etc/passwd",
        &["root:x:0:0:root:/root:/bin/sh\n+::::::\na:x:1000:1000::/h:\n", "u:x:65534:65534:,,,:/:/x"],
    )
}

fn read_passwd(input: &[u8]) {
    for line in bytes::split(input, b'\n') {
        if let Some(user) = passwd::user(line) {
            assert!(!user.name.is_empty() && user.uid != u32::MAX && user.gid != u32::MAX);
        }
        let parts = passwd::user_and_group(line);
        assert!(parts.is_none_or(|parts| !parts.user.is_empty() && parts.group.is_none_or(|group| !group.is_empty())));
    }
}

fn groups() -> Vec<Vec<u8>> {
    with_file("/etc/group", &["root:x:0:\nadm:x:4:syslog,a\n", "many:x:77:a,b,c,d,,e\n+:::\n"])
}

fn read_group(input: &[u8]) {
    for line in bytes::split(input, b'\n') {
        if let Some(group) = passwd::group(line) {
            assert!(!group.name.is_empty() && group.gid != u32::MAX);
            let is_member = group.has_member(b"a");
            assert!(!is_member || line.contains(&b'a'));
        }
    }
}

const MOUNT_WORDS: &[&str] = &[
    " - cgroup cgroup rw,memory",
    " - cgroup2 cgroup2 rw",
    "\\040",
    "\\000",
    "\\777",
    "/..",
    "/../..",
    " master:1",
    "ro,",
    "0::/",
    "3:memory:/",
    "/sys/fs/cgroup",
    "\n",
];

/// Of hosts with cgroup v1, with v2, and with both; of an initramfs; in a container.
const MOUNTS: &[&str] = &[
    "22 28 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n\
     28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
     34 25 0:29 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:13 - cgroup cgroup rw,memory\n\
     35 25 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:14 - cgroup cgroup rw,cpu,cpuacct\n\
     36 25 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n",
    "26 23 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
    "1 1 0:2 / / rw - rootfs none rw\n15 1 0:14 / /proc rw,relatime - proc proc rw\n\
     30 15 0:24 /../../a /sys/fs/cgroup/unified ro - cgroup2 cgroup rw\n",
    "500 400 0:55 / / ro,relatime master:2 - overlay overlay rw,lowerdir=/a\\134:b:/c\\040d,upperdir=/u,workdir=/w\n\
     501 500 7:0 / /a\\011b ro,nodev shared:1 master:2 propagate_from:3 unbindable - squashfs /dev/loop0 ro,errors=continue\n",
];

fn mountinfos() -> Vec<Vec<u8>> {
    with_file("/proc/self/mountinfo", MOUNTS)
}

fn read_mountinfo(input: &[u8]) {
    let all = mountinfo::parse(input);
    assert!(all.len() <= input.len());
    for mount in &all {
        let point = mountinfo::unescape(mount.point);
        assert!(
            point.to_bytes().len() <= mount.point.len()
                && mountinfo::unescape(mount.root).to_bytes().len() <= mount.root.len()
        );
        mountinfo::is_hidden(mount, &all);
        assert!(!mountinfo::is_hidden(mount, &[]));
        let flags = flags_of(mount);
        let mut names = Vec::new();
        flags.put(&mut names);
        assert!(!names.is_empty());
    }
}

fn cgroups() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let own = [
        "4:cpu,cpuacct:/a:b\n3:cpuset:/\n2:memory:/x/y\n1:name=systemd:/x\n0::/user/1\n",
        "0::/\n",
        "0::/../up\n",
        "7:pids,memory:/\n",
    ];
    // /proc/self/cgroup, a NUL, and /proc/self/mountinfo.
    for own in with_file("/proc/self/cgroup", &own) {
        for mounts in mountinfos() {
            seeds.push([own.as_slice(), b"\0", &mounts].concat());
        }
    }
    seeds
}

fn read_cgroup(input: &[u8]) {
    let (own, mounts) = bytes::split_once(input, 0).unwrap_or((input, b""));
    let (mounts, lines) = (mountinfo::parse(mounts), own_lines(own));
    for controller in Controller::ALL {
        for (name, version) in [(controller.name(), Version::V1), ("", Version::V2)] {
            let is_of = |line: &&OwnLine| bytes::has_part(line.controllers, b',', name.as_bytes());
            let Some(line) = lines.iter().find(is_of) else { continue };
            let set = Controllers::in_list(line.controllers, b',');
            assert!(name.is_empty() || set.has(controller));
            let found = mounted(&mounts, version, controller.name().as_bytes(), line.path);
            assert!(found.is_none_or(|(_, below)| line.path.ends_with(below)));
            if let Some((mount, below)) = found {
                let path = mydocker::cgroup::hierarchy::below_top(&[below]).to_bytes();
                assert!(path == b"." || path.starts_with(b"./"));
                assert!(!bytes::has_part(path, b'/', b".."), "{:?}", path.escape_ascii().to_string());
                mountinfo::unescape(mount.point);
            }
        }
        Controllers::in_list(own, b' ');
    }
}

fn numbers() -> Vec<Vec<u8>> {
    [
        "100m",
        "0",
        "1.5",
        "0-3,7,9-11",
        "9223372036854771712",
        "max",
        "1073741824\n",
        "150000 100000",
        "0x1f",
        "1g",
        ".5",
        "ff",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn read_back(input: &[u8]) {
    let (asked, got) = input.split_at(input.len() / 2);
    for comparison in [Comparison::Exact, Comparison::Bytes, Comparison::List] {
        same(comparison, asked, got);
        let is_list = bytes::list(got).is_ok();
        assert!(same(comparison, got, got) || comparison == Comparison::List && !is_list);
    }
}

fn read_numbers(input: &[u8]) {
    let text = std::str::from_utf8(input).ok();
    let digits = !input.is_empty() && input.iter().all(u8::is_ascii_digit);
    let expected = text.filter(|_| digits).and_then(|text| text.parse::<u64>().ok());
    let number = bytes::decimal(input).ok();
    assert_eq!(number, expected);
    assert!(number.is_none_or(|number| bytes::decimal(&bytes::to_decimal(number)) == Ok(number)));
    let expected = text.filter(|text| !text.starts_with('+')).and_then(|text| u64::from_str_radix(text, 16).ok());
    assert_eq!(bytes::hexadecimal(input).filter(|_| !input.is_empty()), expected);
    assert!(bytes::size(input).is_ok_and(|size| size <= i64::MAX as u64) || bytes::size(input).is_err());
    let _ = bytes::cpus(input);
    if let Ok(list) = bytes::list(input) {
        assert!(list == bytes::list(input).expect("twice the same") && list.is_empty() == input.is_empty());
    }
    if let Some(text) = text {
        let _ = mydocker::ulimit::parse(text).map_err(print_error);
        let _ = mydocker::volume::parse(text).map_err(print_error);
        let _ = mydocker::volume::parse_tmpfs(text).map_err(print_error);
    }
    assert!(bytes::clean_path(input).starts_with(b"/") || !input.starts_with(b"/"));
}

fn texts() -> Vec<Vec<u8>> {
    [
        &b"/sys/fs/cgroup/memory/mydocker-7"[..],
        b"a b\tc\nd",
        b"\x1b[31mred\x9b0m",
        "\u{202e}txt.exe \u{9b}\u{2066}".as_bytes(),
        "\u{e9}\u{20ac}\u{1f40b}".as_bytes(),
        b"\xff\xc3(\xe2\x82",
        b"it's \"quoted\" \\ $(x) `y`",
        &[0; 40],
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// The input as a path, up to its first NUL. Nothing can be there, nor be created, as /dev/null is no directory.
fn path(input: &[u8]) -> &'static CStr {
    bytes::c_string(&[b"/dev/null/nowhere/", input])
}

/// So much of an input goes to the printers: more is only slower.
const SHOWN: usize = 300;

/// 64 bits of the input.
fn number(input: &[u8]) -> u64 {
    input.iter().rev().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Calls that fail, as no path is there, or that write to /dev/null; the trace shows them.
fn print_traces() -> Act {
    trace::begin(Some((None, c"/dev/null")), false).ok().expect("a trace to /dev/null");
    let null = sys::open(c"/dev/null", sys::OpenFlags::WRONLY).ok().expect("/dev/null");
    Box::new(move |input| {
        let input = &input[..input.len().min(SHOWN)];
        let (path, number) = (path(input), number(input));
        assert!(!sys::exists(path));
        let _ = sys::open(path, sys::OpenFlags::from_bits(number).without(sys::OpenFlags::CREAT)).map_err(print_error);
        let _ = sys::mkdir(None, path, number as u32).map_err(print_error);
        let _ = sys::mount(path, path, path, sys::MountFlags::from_bits(number), Some(path)).map_err(print_error);
        let _ = sys::symlink(path, &null, path).map_err(print_error);
        let _ = sys::statx(sys::FdRef::CWD, path, sys::AtFlags::SYMLINK_NOFOLLOW).map_err(print_error);
        sys::write_all(null.borrow(), input).ok().expect("a write to /dev/null");
        trace::begin_step(trace::Who::Parent, std::str::from_utf8(input).unwrap_or("a purpose"));
    })
}

/// Calls that are recorded and not made; then what the table of a dry run shows of them.
fn print_records(input: &[u8]) {
    let input = &input[..input.len().min(SHOWN)];
    let (path, number) = (path(input), number(input));
    let null = sys::open(c"/dev/null", sys::OpenFlags::WRONLY).ok().expect("/dev/null");
    let group_ids: Vec<u32> = input.as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect();
    record::begin();
    let made: [mydocker::error::Result<()>; 12] = [
        sys::mkdir(None, path, number as u32),
        sys::mount(path, path, path, sys::MountFlags::from_bits(number), Some(path)),
        sys::mknod(None, path, number as u32, sys::Device::new(number as u32 & 0xfff, 5)),
        sys::symlink(path, &null, path),
        sys::sethostname(input),
        sys::setgroups(&group_ids),
        sys::chown(path, number as u32, number as u32),
        sys::chdir(path),
        sys::capset(number),
        sys::unshare(sys::CloneFlags::from_bits(number)),
        sys::remount(path, sys::MountFlags::from_bits(number)),
        sys::setuid(number as u32),
    ];
    let opened = sys::open(path, sys::OpenFlags::from_bits(number));
    if let Ok(file) = &opened {
        let _ = sys::write_all(file.borrow(), input);
        let _ = sys::mount_setattr(file, sys::MountAttr::from_bits(number), sys::MountFlags::from_bits(number), path);
    }
    drop(opened);
    let calls = record::take();
    record::end();
    assert!(made.iter().all(Result::is_ok) && calls.len() > made.len());
    for call in calls {
        for numbers in [true, false] {
            let mut line = Vec::new();
            call.put(numbers, &mut line);
            let text = std::str::from_utf8(&line).expect("a line in UTF-8");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

/// Text for a terminal, for JSON, for a shell; flags and numbers by name.
fn quote(input: &[u8]) {
    let input = &input[..input.len().min(SHOWN)];
    let mut out = Vec::new();
    out.put_escaped(input);
    let text = std::str::from_utf8(&out).expect("escaped text in UTF-8");
    assert!(!text.contains(|c: char| c.is_control()
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)));
    assert_eq!(unescaped(&out), input);
    let mut json = Vec::new();
    json.put_json(input);
    let read: String = serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error}: {}", json.escape_ascii()));
    assert!(std::str::from_utf8(input).is_err() || read.as_bytes() == input);
    if !input.contains(&0) && !bytes_with_unknowns(input) {
        let mut word = Vec::new();
        put_word(&mut word, input);
        assert_eq!(unquoted(&word), input);
    }
    // A buffer that is too small.
    let fixed = FixedBytes::<32>::quoted(&[input]);
    assert!(fixed.as_bytes().len() <= 32);
    let bits = number(input);
    for show in [
        <sys::OpenFlags as Arg>::SHOW,
        <sys::MountFlags as Arg>::SHOW,
        <sys::CloneFlags as Arg>::SHOW,
        <sys::AtFlags as Arg>::SHOW,
        <sys::Prctl as Arg>::SHOW,
        <sys::Ioctl as Arg>::SHOW,
        <sys::Resource as Arg>::SHOW,
        <i32 as Arg>::SHOW,
        &Show::Octal,
        &Show::Descriptor,
    ] {
        let mut out = Vec::new();
        show.put(&sys::gate::Argument::Number(bits as usize), &mut out);
        assert!(!out.is_empty());
    }
}

/// Where the script has a name instead of a number.
fn bytes_with_unknowns(input: &[u8]) -> bool {
    [&b"1073741823"[..], b"1073741822"].iter().any(|number| input.windows(number.len()).any(|part| part == *number))
}

/// What C makes of the escapes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [] => return out,
            [b'\\', b'n', after @ ..] => {
                out.push(b'\n');
                rest = after;
            }
            [b'\\', b't', after @ ..] => {
                out.push(b'\t');
                rest = after;
            }
            [b'\\', quoted @ (b'"' | b'\\'), after @ ..] => {
                out.push(*quoted);
                rest = after;
            }
            [b'\\', a, b, c, after @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            [byte, after @ ..] => {
                out.push(*byte);
                rest = after;
            }
        }
    }
}

/// What a shell makes of a word in single quotes.
fn unquoted(word: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut rest) = (Vec::new(), false, word);
    loop {
        match rest {
            [] => return out,
            [b'\'', after @ ..] => {
                quoted = !quoted;
                rest = after;
            }
            [b'\\', byte, after @ ..] if !quoted => {
                out.push(*byte);
                rest = after;
            }
            [byte, after @ ..] => {
                out.push(*byte);
                rest = after;
            }
        }
    }
}
