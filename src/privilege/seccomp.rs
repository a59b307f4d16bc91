//! From `seccomp.policy` to a filter in classic BPF: a search tree over ranges of numbers that have the same answer. It is
//! part of build.rs, and of the tests; the program holds only what comes out. Source: the kernel's
//! Documentation/userspace-api/seccomp_filter.rst, and Documentation/networking/filter.rst for the instructions.

use std::collections::BTreeMap;

/// An architecture: its AUDIT_ARCH, and the numbers of its calls.
pub struct Machine<'a> {
    /// AUDIT_ARCH_* of <linux/audit.h>.
    pub audit: u32,
    /// Name and number of every call.
    pub calls: &'a [(&'a str, u32)],
}

/// x86_64. The numbers of x32, from 0x40000000 on, share its AUDIT_ARCH; they do not exist here, as on most kernels.
pub fn x86_64<'a>(calls: &'a [(&'a str, u32)]) -> Machine<'a> {
    Machine { audit: 0xc000_003e, calls }
}

/// aarch64.
pub fn aarch64<'a>(calls: &'a [(&'a str, u32)]) -> Machine<'a> {
    Machine { audit: 0xc000_00b7, calls }
}

/// One instruction: struct sock_filter of <linux/filter.h>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions to skip if the comparison holds. In a `RETURN`, which does not use it: one more than the number of
    /// a capability with which the answer is `ALLOW` instead.
    pub jt: u8,
    /// If it does not hold. In a `RETURN`: a second capability.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl Instruction {
    /// As the kernel of a little-endian machine takes it.
    pub fn bytes(self) -> [u8; 8] {
        let (code, k) = (self.code.to_le_bytes(), self.k.to_le_bytes());
        [code[0], code[1], self.jt, self.jf, k[0], k[1], k[2], k[3]]
    }
}

/// `ld [k]`: four bytes of struct seccomp_data.
pub const LOAD: u16 = 0x20;
/// `jeq`: compares with the operand, as the next two do.
pub const JUMP_EQUAL: u16 = 0x15;
/// `jge`
pub const JUMP_AT_LEAST: u16 = 0x35;
/// `jset`
pub const JUMP_ANY_BIT: u16 = 0x45;
/// `ja`: skips as many instructions as the operand says.
pub const JUMP: u16 = 0x05;
/// `ret`: the answer.
pub const RETURN: u16 = 0x06;

/// SECCOMP_RET_* of <linux/seccomp.h>.
pub const ALLOW: u32 = 0x7fff_0000;
/// With the errno in the lower half.
pub const ERRNO: u32 = 0x0005_0000;
/// The whole process, by SIGSYS.
pub const KILL: u32 = 0x8000_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Offsets in struct seccomp_data; the arguments are 64 bits wide, and begin with the lower half.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// SECCOMP_RET_*.
    pub value: u32,
    /// Capabilities, each plus one, that turn it into `ALLOW`; 0 is no capability.
    pub unless: [u8; 2],
}

/// When a line of the policy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Always.
    Always,
    /// The lower half of this argument is this.
    Equal(u32, u32),
    /// The lower half of this argument is less than this.
    Less(u32, u32),
    /// The lower half of this argument has one of these bits.
    AnyBit(u32, u32),
}

/// The lines of one call, in order; the condition of the last is `Always`.
pub type Rules = Vec<(Condition, Answer)>;

/// The first number of a range, and the lines that hold for it, up to the next range.
type Range<'a> = (u32, &'a [(Condition, Answer)]);

/// Reads the policy: every call once, and what is answered. `capabilities`: their names, in the order of their numbers.
pub fn parse<'a>(policy: &'a str, capabilities: &[&str]) -> Result<BTreeMap<&'a str, Rules>, String> {
    let mut calls: BTreeMap<&str, Rules> = BTreeMap::new();
    for line in policy.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut fields = line.split_whitespace();
        let (Some(call), Some(answer)) = (fields.next(), fields.next()) else {
            return Err(format!("no call and answer: {line}"));
        };
        let answer = read_answer(answer, capabilities).ok_or(format!("no answer: {line}"))?;
        let condition = match fields.next() {
            Some(condition) => read_condition(condition).ok_or(format!("no condition: {line}"))?,
            None => Condition::Always,
        };
        let rules = calls.entry(call).or_default();
        if rules.last().is_some_and(|(last, _)| *last == Condition::Always) {
            return Err(format!("never looked at: {line}"));
        }
        rules.push((condition, answer));
    }
    match calls.iter().find(|(_, rules)| !matches!(rules.last(), Some((Condition::Always, _)))) {
        Some((call, _)) => Err(format!("{call} has no line that always holds")),
        None => Ok(calls),
    }
}

fn read_answer(word: &str, capabilities: &[&str]) -> Option<Answer> {
    let plain = |value| Answer { value, unless: [0; 2] };
    match word {
        "allow" => return Some(plain(ALLOW)),
        "EPERM" => return Some(plain(ERRNO | EPERM)),
        "ENOSYS" => return Some(plain(ERRNO | ENOSYS)),
        _ => {}
    }
    let (errno, names) = match word.strip_prefix("ENOSYS/") {
        Some(names) => (ENOSYS, names),
        None => (EPERM, word),
    };
    let mut unless = [0; 2];
    for (at, name) in names.split('|').enumerate() {
        let number = capabilities.iter().position(|capability| *capability == name)?;
        *unless.get_mut(at)? = number as u8 + 1;
    }
    Some(Answer { value: ERRNO | errno, unless })
}

fn read_condition(word: &str) -> Option<Condition> {
    if word == "always" {
        return Some(Condition::Always);
    }
    let rest = word.strip_prefix("arg")?;
    let (argument, operand) = rest.split_once(['=', '<', '&'])?;
    let argument = argument.parse().ok().filter(|at| *at < 6)?;
    let operand = match operand.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => operand.parse().ok()?,
    };
    Some(match rest.find(['=', '<', '&']).map(|at| rest.as_bytes()[at]) {
        Some(b'=') => Condition::Equal(argument, operand),
        Some(b'<') => Condition::Less(argument, operand),
        _ => Condition::AnyBit(argument, operand),
    })
}

/// Makes the filter. A call of the machine without a line is an error.
pub fn compile(rules: &BTreeMap<&str, Rules>, machine: &Machine) -> Result<Vec<Instruction>, String> {
    let ranges = ranges(rules, machine)?;
    let mut code = Code::default();
    let tree = code.tree(&ranges);
    // The instructions run from the last to the first.
    code.jump_to(tree);
    code.push(LOAD, 0, 0, NUMBER);
    let native = code.end();
    let killed = code.answer(Answer { value: KILL, unless: [0; 2] });
    code.branch(JUMP_EQUAL, machine.audit, native, killed);
    code.push(LOAD, 0, 0, ARCHITECTURE);
    code.0.reverse();
    Ok(code.0)
}

/// The ranges of numbers with the same lines, ascending.
fn ranges<'a>(rules: &'a BTreeMap<&str, Rules>, machine: &Machine) -> Result<Vec<Range<'a>>, String> {
    const NOT_THERE: &[(Condition, Answer)] = &[(Condition::Always, Answer { value: ERRNO | ENOSYS, unless: [0; 2] })];
    let mut calls = machine.calls.to_vec();
    calls.sort_by_key(|(_, number)| *number);
    let mut ranges: Vec<Range> = vec![(0, NOT_THERE)];
    let mut add = |from, rules| {
        ranges.retain(|(start, _)| *start != from);
        if ranges.last().is_none_or(|(_, last)| *last != rules) {
            ranges.push((from, rules));
        }
    };
    for (name, number) in calls {
        add(number, rules.get(name).ok_or(format!("no line for {name}"))?.as_slice());
        add(number + 1, NOT_THERE);
    }
    Ok(ranges)
}

/// Instructions, the last one first: jumps only lead forward, so the target of a jump must be there already.
#[derive(Default)]
struct Code(Vec<Instruction>);

/// An instruction, by how many come after it.
#[derive(Clone, Copy)]
struct Place(usize);

/// As far as a comparison can jump.
const REACH: usize = 255;

impl Code {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.0.push(Instruction { code, jt, jf, k });
    }

    /// The instruction that is first so far.
    fn end(&self) -> Place {
        Place(self.0.len() - 1)
    }

    /// How many instructions the next one would have to skip to get to `place`.
    fn distance(&self, place: Place) -> usize {
        self.0.len() - 1 - place.0
    }

    /// A `RETURN` with this answer; an existing one, if a comparison can reach it.
    fn answer(&mut self, answer: Answer) -> Place {
        let [jt, jf] = answer.unless;
        let wanted = Instruction { code: RETURN, jt, jf, k: answer.value };
        // Room for what comes between: another answer, or a jump.
        let near = self.0.iter().rposition(|there| *there == wanted).filter(|at| self.distance(Place(*at)) < REACH - 2);
        match near {
            Some(at) => Place(at),
            None => {
                self.0.push(wanted);
                self.end()
            }
        }
    }

    /// Makes sure that execution goes on at `place`.
    fn jump_to(&mut self, place: Place) {
        let distance = self.distance(place);
        if distance > 0 {
            self.push(JUMP, 0, 0, distance as u32);
        }
    }

    fn branch(&mut self, code: u16, k: u32, yes: Place, no: Place) {
        let (mut yes, mut no) = (yes, no);
        for place in [&mut yes, &mut no] {
            if self.distance(*place) >= REACH {
                self.jump_to(*place);
                *place = self.end();
            }
        }
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(code, jt, jf, k);
    }

    /// The search tree for a number that is in one of `ranges`: each comparison rules out half of them.
    fn tree(&mut self, ranges: &[Range]) -> Place {
        match ranges {
            [] => self.answer(Answer { value: KILL, unless: [0; 2] }),
            [(_, rules)] => self.lines(rules),
            _ => {
                let (below, above) = ranges.split_at(ranges.len() / 2);
                let from = above[0].0;
                let above = self.tree(above);
                let below = self.tree(below);
                self.branch(JUMP_AT_LEAST, from, above, below);
                self.end()
            }
        }
    }

    /// The lines of one call. An argument is loaded before the first line that compares it.
    fn lines(&mut self, rules: &[(Condition, Answer)]) -> Place {
        let mut next = None;
        let argument = |condition: &Condition| match condition {
            Condition::Always => None,
            Condition::Equal(argument, _) | Condition::Less(argument, _) | Condition::AnyBit(argument, _) => {
                Some(*argument)
            }
        };
        for (at, (condition, answer)) in rules.iter().enumerate().rev() {
            let answer = self.answer(*answer);
            let Some(no) = next else {
                next = Some(answer);
                continue;
            };
            match *condition {
                Condition::Always => {}
                Condition::Equal(_, k) => self.branch(JUMP_EQUAL, k, answer, no),
                Condition::Less(_, k) => self.branch(JUMP_AT_LEAST, k, no, answer),
                Condition::AnyBit(_, k) => self.branch(JUMP_ANY_BIT, k, answer, no),
            }
            let loaded = at.checked_sub(1).and_then(|before| argument(&rules[before].0));
            if let Some(argument) = argument(condition).filter(|argument| loaded != Some(*argument)) {
                self.push(LOAD, 0, 0, ARGUMENTS + 8 * argument);
            }
            next = Some(self.end());
        }
        next.unwrap_or_else(|| self.answer(Answer { value: KILL, unless: [0; 2] }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT;
    use super::*;

    const POLICY: &str = include_str!("seccomp.policy");
    const SYS_ADMIN: u32 = 21;

    fn capabilities() -> Vec<&'static str> {
        crate::capabilities::CAPABILITIES.iter().filter_map(|name| name.strip_prefix("CAP_")).collect()
    }

    type Calls = Vec<(&'static str, u32)>;

    fn calls(name: impl Fn(usize) -> Option<&'static str>) -> Calls {
        (0..1024).filter_map(|number| Some((name(number)?, number as u32))).collect()
    }

    /// The calls of both machines, whichever this one is.
    fn tables() -> [Calls; 2] {
        [
            calls(|n| syscalls::x86_64::Sysno::new(n).map(|call| call.name())),
            calls(|n| syscalls::aarch64::Sysno::new(n).map(|call| call.name())),
        ]
    }

    fn machines(tables: &[Calls; 2]) -> [Machine<'_>; 2] {
        [x86_64(&tables[0]), aarch64(&tables[1])]
    }

    /// What the kernel would answer, and after how many instructions. It panics if the filter is malformed.
    fn run(filter: &[Instruction], kept: u64, audit: u32, number: u32, arguments: [u64; 6]) -> (u32, usize) {
        let mut data = Vec::new();
        data.extend_from_slice(&number.to_le_bytes());
        data.extend_from_slice(&audit.to_le_bytes());
        data.extend_from_slice(&0u64.to_le_bytes());
        arguments.iter().for_each(|argument| data.extend_from_slice(&argument.to_le_bytes()));
        let (mut at, mut value) = (0, 0);
        for steps in 1.. {
            let Instruction { code, jt, jf, k } = filter[at];
            at += 1;
            let jump = |holds| usize::from(if holds { jt } else { jf });
            match code {
                LOAD => value = u32::from_le_bytes(data[k as usize..][..4].try_into().unwrap()),
                JUMP => at += k as usize,
                JUMP_EQUAL => at += jump(value == k),
                JUMP_AT_LEAST => at += jump(value >= k),
                JUMP_ANY_BIT => at += jump(value & k != 0),
                RETURN => {
                    let opened = [jt, jf].iter().any(|c| *c > 0 && kept >> (c - 1) & 1 == 1);
                    return (if opened { ALLOW } else { k }, steps);
                }
                other => panic!("{other:#x} is no instruction of ours"),
            }
        }
        unreachable!()
    }

    /// The answer again, slowly: the lines of the call, one after the other.
    fn oracle(rules: &BTreeMap<&str, Rules>, name: Option<&str>, kept: u64, arguments: [u64; 6]) -> u32 {
        let Some(name) = name else { return ERRNO | ENOSYS };
        for (condition, answer) in &rules[name] {
            let holds = match condition {
                Condition::Always => true,
                Condition::Equal(argument, k) => arguments[*argument as usize] as u32 == *k,
                Condition::Less(argument, k) => (arguments[*argument as usize] as u32) < *k,
                Condition::AnyBit(argument, k) => arguments[*argument as usize] as u32 & k != 0,
            };
            if holds {
                let opened = answer.unless.iter().any(|c| *c > 0 && kept >> (c - 1) & 1 == 1);
                return if opened { ALLOW } else { answer.value };
            }
        }
        unreachable!()
    }

    #[test]
    fn the_filter_answers_as_the_policy_says() {
        let capabilities = capabilities();
        let rules = parse(POLICY, &capabilities).unwrap();
        let interesting: Vec<u64> = [
            0,
            1,
            8,
            11,
            12,
            16,
            37,
            38,
            40,
            45,
            46,
            0x5412,
            0x541c,
            0x20000,
            0x20008,
            0x7e02_0000,
            0x1000_0000,
            0x80,
            0x11,
            0xffff_ffff,
        ]
        .into();
        let tables = tables();
        for machine in machines(&tables) {
            let filter = compile(&rules, &machine).unwrap();
            let Machine { audit, calls, .. } = machine;
            for kept in (0..41).map(|n| 1 << n).chain([0, DEFAULT.0, u64::MAX]) {
                for number in 0..600 {
                    let name = calls.iter().find(|(_, n)| *n == number).map(|(name, _)| *name);
                    for low in &interesting {
                        for argument in [*low, low | 7 << 32] {
                            for at in 0..2 {
                                let mut arguments = [0; 6];
                                arguments[at] = argument;
                                let (answer, _) = run(&filter, kept, audit, number, arguments);
                                let expected = oracle(&rules, name, kept, arguments);
                                assert_eq!(answer, expected, "{name:?} {number} {arguments:x?}, {kept:#x}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn other_machines_are_killed_and_x32_is_not_there() {
        let rules = parse(POLICY, &capabilities()).unwrap();
        let tables = tables();
        for machine in machines(&tables) {
            let filter = compile(&rules, &machine).unwrap();
            let Machine { audit, .. } = machine;
            for other in [0x4000_0003, 0x4000_0028, 0xc000_003e, 0xc000_00b7, 0, u32::MAX] {
                let (answer, steps) = run(&filter, u64::MAX, other, 0, [0; 6]);
                assert_eq!(answer == KILL, other != audit, "{other:#x}");
                assert!(other == audit || steps == 3);
            }
            for number in [0x4000_0000, 0x4000_0001, 0x4000_0200, 0x8000_0000, u32::MAX] {
                assert_eq!(run(&filter, u64::MAX, audit, number, [0; 6]).0, ERRNO | ENOSYS, "{number:#x}");
            }
        }
    }

    #[test]
    fn the_program_holds_the_filter_of_its_machine() {
        let rules = parse(POLICY, &capabilities()).unwrap();
        let tables = tables();
        let [x86_64, aarch64] = machines(&tables);
        let machine = if cfg!(target_arch = "x86_64") { x86_64 } else { aarch64 };
        let bytes: Vec<u8> = compile(&rules, &machine).unwrap().iter().flat_map(|i| i.bytes()).collect();
        assert!(bytes == include_bytes!(concat!(env!("OUT_DIR"), "/filter")));
    }

    #[test]
    fn it_is_short() {
        let rules = parse(POLICY, &capabilities()).unwrap();
        let tables = tables();
        for machine in machines(&tables) {
            let filter = compile(&rules, &machine).unwrap();
            let Machine { audit, calls, .. } = machine;
            assert!(filter.len() < 160, "{} instructions", filter.len());
            let steps = |number: &u32| run(&filter, 0, audit, *number, [0; 6]).1;
            let longest = calls.iter().map(|(_, number)| steps(number)).max().unwrap();
            assert!(longest <= 17, "{longest} instructions for one call");
        }
    }

    #[test]
    fn a_policy_that_is_none() {
        let capabilities = capabilities();
        let bad = |policy| parse(policy, &capabilities).unwrap_err();
        assert!(bad("read").contains("no call and answer"));
        assert!(bad("read yes").contains("no answer"));
        assert!(bad("read SYS_ADMIN|BPF|SYSLOG").contains("no answer"));
        assert!(bad("read allow arg6=1").contains("no condition"));
        assert!(bad("read allow arg0>1").contains("no condition"));
        assert!(bad("read allow arg0<").contains("no condition"));
        assert!(bad("read EPERM arg0=1").contains("no line that always holds"));
        assert!(bad("read allow\nread EPERM").contains("never looked at"));
        let rules = parse("read allow", &capabilities).unwrap();
        let machine = Machine { audit: 1, calls: &[("read", 0), ("write", 1)] };
        assert_eq!(compile(&rules, &machine).unwrap_err(), "no line for write");
    }

    /// A tree so large that a comparison cannot jump over half of it.
    #[test]
    fn far_jumps() {
        let names: Vec<String> = (0..3000).map(|n| format!("call{n}")).collect();
        let calls: Vec<(&str, u32)> = names.iter().enumerate().map(|(n, name)| (name.as_str(), n as u32)).collect();
        let mut rules: BTreeMap<&str, Rules> = BTreeMap::new();
        for (name, number) in &calls {
            rules.insert(name, vec![(Condition::Always, Answer { value: ERRNO | (number % 7 * 500), unless: [0; 2] })]);
        }
        let filter = compile(&rules, &Machine { audit: 9, calls: &calls }).unwrap();
        for (_, number) in &calls {
            assert_eq!(run(&filter, 0, 9, *number, [0; 6]).0, ERRNO | (number % 7 * 500));
        }
        assert_eq!(run(&filter, 0, 9, 3000, [0; 6]).0, ERRNO | ENOSYS);
    }

    /// What docker's published default allows whatever the arguments, less the names that neither machine has: seccomp/default.json
    /// of github.com/moby/profiles, where moby has it now, at 02e898b137ae (2026; it knows of Linux 7.2).
    const DOCKERS: &str = "
        accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_adjtime
        clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
        eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod
        fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
        fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list
        get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
        getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
        getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1
        inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set
        kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen
        listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack
        membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt
        mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
        msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
        pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
        preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2
        read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat
        rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
        rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
        sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
        sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
        setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid
        setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat
        statfs statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
        timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
        tkill truncate umask uname unlink unlinkat uretprobe utime utimensat utimes vfork vmsplice wait4 waitid write
        writev
    ";

    /// What it allows with a capability.
    const DOCKERS_BY_CAPABILITY: &[(&str, &str)] = &[
        ("DAC_READ_SEARCH", "open_by_handle_at"),
        (
            "SYS_ADMIN",
            "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
            lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount2 unshare",
        ),
        ("SYS_BOOT", "reboot"),
        ("SYS_CHROOT", "chroot"),
        ("SYS_MODULE", "delete_module init_module finit_module"),
        ("SYS_PACCT", "acct"),
        ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
        ("SYS_RAWIO", "iopl ioperm"),
        ("SYS_TIME", "settimeofday clock_settime"),
        ("SYS_TTY_CONFIG", "vhangup"),
        ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        ("SYSLOG", "syslog"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
    ];

    /// What ours allows and docker's does not, with the reason.
    const MORE: &[(&str, &str)] = &[
        ("fstatat", "newfstatat, which docker allows, as the table of aarch64 calls it"),
        ("file_getattr", "newer; what an ioctl tells, for files that cannot be opened"),
    ];

    /// With SYS_ADMIN: mounts like the rest; containers in containers need them.
    const MORE_BY_CAPABILITY: &[(&str, &str)] = &[("SYS_ADMIN", "pivot_root open_tree_attr"), ("LEASE", "fcntl")];
    /// What docker's allows with a capability, and ours never: the security modules' names are the host's.
    const FEWER_BY_CAPABILITY: [&str; 3] = ["lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr"];

    fn words<'a>(list: &[(&str, &'a str)]) -> Vec<&'a str> {
        list.iter().flat_map(|(_, names)| names.split_whitespace()).collect()
    }

    /// Which calls are allowed whatever their arguments are.
    fn always_allowed(rules: &BTreeMap<&'static str, Rules>, kept: u64) -> Vec<&'static str> {
        let allows =
            |answer: &Answer| answer.value == ALLOW || answer.unless.iter().any(|c| *c > 0 && kept >> (c - 1) & 1 == 1);
        let all = rules.iter().filter(|(_, rules)| rules.iter().all(|(_, answer)| allows(answer)));
        all.map(|(name, _)| *name).collect()
    }

    #[test]
    fn compared_with_dockers_default() {
        let capabilities = capabilities();
        let rules = parse(POLICY, &capabilities).unwrap();
        let ours = always_allowed(&rules, 0);
        let dockers: Vec<&str> = DOCKERS.split_whitespace().collect();
        let more: Vec<&str> = MORE.iter().flat_map(|(names, _)| names.split_whitespace()).collect();
        let surplus: Vec<_> = ours.iter().filter(|name| !dockers.contains(name) && !more.contains(name)).collect();
        assert!(surplus.is_empty(), "allowed without a reason: {surplus:?}");
        assert!(more.iter().all(|name| ours.contains(name) && !dockers.contains(name)), "reasons for nothing");
        // Fewer: two requests of ioctl, which type on a terminal, and leases.
        let missing: Vec<_> = dockers.iter().filter(|name| !ours.contains(name)).collect();
        assert_eq!(missing, [&"fcntl", &"ioctl"]);

        for (number, capability) in capabilities.iter().enumerate() {
            let kept = always_allowed(&rules, 1 << number);
            let opened: Vec<_> = kept.into_iter().filter(|name| !ours.contains(name)).collect();
            let of = |list: &'static [(&str, &str)]| {
                let own: Vec<_> = list.iter().filter(|(name, _)| name == capability).copied().collect();
                words(&own)
            };
            let mut expected = of(DOCKERS_BY_CAPABILITY);
            expected.retain(|name| !FEWER_BY_CAPABILITY.contains(name));
            expected.extend(of(MORE_BY_CAPABILITY));
            expected.sort();
            assert_eq!(opened, expected, "{capability}");
        }

        // Arguments, on both machines: docker's five personalities, its families of sockets, no namespaces.
        let number = |calls: &[(&str, u32)], name| calls.iter().find(|(n, _)| *n == name).unwrap().1;
        let tables = tables();
        for machine in machines(&tables) {
            let filter = compile(&rules, &machine).unwrap();
            let Machine { audit, calls, .. } = machine;
            let allowed = |name, argument, kept| {
                run(&filter, kept, audit, number(calls, name), [argument, 0, 0, 0, 0, 0]).0 == ALLOW
            };
            let personalities: Vec<u64> = [0, 1, 3, 8, 9, 0x20000, 0x20008, 0x40000, 0xffff_ffff]
                .into_iter()
                .filter(|p| allowed("personality", *p, 0))
                .collect();
            assert_eq!(personalities, [0, 8, 0x20000, 0x20008, 0xffff_ffff]);
            for family in (0..300).chain([u64::from(u32::MAX)]) {
                let is_dockers = family < 46 && ![12, 19, 20, 23, 25, 34, 37, 38, 40].contains(&family);
                assert_eq!(allowed("socket", family, 0), is_dockers, "{family}");
                // The kernel takes the lower half.
                assert_eq!(allowed("socket", family | 1 << 32, u64::MAX), is_dockers, "{family}");
            }
            for bit in (0..32).map(|bit| 1u64 << bit) {
                let namespaces = 0x7e02_0000 & bit != 0;
                assert_eq!(allowed("clone", bit, 0), !namespaces, "{bit:#x}");
                // Docker's refuses unshare altogether; ours only what makes a namespace.
                assert_eq!(allowed("unshare", bit, 0), 0x5_0f00 & bit != 0, "{bit:#x}");
                assert!(allowed("clone", bit, 1 << SYS_ADMIN) && allowed("unshare", bit, 1 << SYS_ADMIN));
            }
        }
    }
}
